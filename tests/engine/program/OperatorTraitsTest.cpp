#include "engine/program/OperatorTraits.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <torch/version.h>

#include <cmath>
#include <map>
#include <set>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/Aliases.h"
#include "engine/program/BatchStatistics.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Executor.h"
#include "engine/program/Flops.h"
#include "engine/program/OperatorRows.h"
#include "engine/program/Operators.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

// All that it takes to make an operator known.
const OperatorRegistration kScaledNorm("testing.scaled_norm",
                                       {.sharing = Sharing::kNever,
                                        .inference = InferenceForm{.argument = "training", .value = false},
                                        .statistics = StatisticsForm{.flag = "training", .over_batch = false},
                                        .multiply_adds = [](const Graph& graph, const Node& node) {
                                          return static_cast<double>(graph.example_sizes(node.output()).at(0));
                                        }});

const TestGraph::Sizes kSizes = {8, 3};

// y = x + x; z = `target`(y, training=true); relu_(z) → w.
Graph calling(const std::string& target) {
  TestGraph graph;
  graph.input("x", kSizes);
  graph.node("add.Tensor", {TestGraph::tensor("self", "x"), TestGraph::tensor("other", "x")}, "y", kSizes);
  graph.node("relu.default", {TestGraph::tensor("self", "y"), {"training", true, true}}, "z", kSizes);
  graph.node("relu_.default", {TestGraph::tensor("self", "z")}, "w", kSizes);
  Graph made = graph.returns({"w", "y"});
  made.nodes[1].target = target;
  return made;
}

TEST(OperatorTraits, ARowIsAllThatAnOperatorNeeds) {
  const Graph known = calling("torch.ops.testing.scaled_norm.default");
  const Graph unknown = calling("torch.ops.testing.unknown.default");
  EXPECT_TRUE(aliased_writes(known).empty());
  EXPECT_EQ(aliased_writes(unknown).at(0).name, "y");
  EXPECT_EQ(forward_flops(known, 8), 2 * 8);
  EXPECT_EQ(forward_flops(unknown, 8), 0);
  EXPECT_FALSE(batch_statistics(known.nodes[1])->over_batch);
  EXPECT_FALSE(batch_statistics(unknown.nodes[1]));
  EXPECT_EQ(std::get<bool>(*eval_form(known).nodes[1].find("training")), false);
  EXPECT_EQ(std::get<bool>(*eval_form(unknown).nodes[1].find("training")), true);
}

TEST(OperatorTraits, AnotherLibrarysOperatorIsNotPyTorchs) {
  EXPECT_EQ(operator_traits("relu").sharing, Sharing::kNever);
  EXPECT_EQ(operator_traits(calling("torch.ops.aten.relu.default").nodes[1]).sharing, Sharing::kNever);
  EXPECT_EQ(operator_traits(calling("torch.ops.testing.relu.default").nodes[1]).sharing, Sharing::kPossible);
  EXPECT_EQ(operator_traits(calling("_operator.add").nodes[1]).sharing, Sharing::kNever);
}

TEST(OperatorTraits, ARowStandsOnceAndSaysSomething) {
  EXPECT_ERROR(OperatorRegistration("relu", {}), InternalError, "relu", "two rows");
  EXPECT_ERROR(OperatorRegistration("testing.a", {.inference = InferenceForm{}}), InternalError, "testing.a");
  EXPECT_ERROR(OperatorRegistration("testing.b", {.bound = IntegerBound{}}), InternalError, "testing.b");
}

std::map<std::string, std::vector<c10::OperatorHandle>> aten_operators() {
  std::map<std::string, std::vector<c10::OperatorHandle>> handles;
  find_operator("torch.ops.aten.relu.default");
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    const auto handle = c10::Dispatcher::singleton().findSchema(name);
    if (handle && name.name.starts_with("aten::")) handles[name.name.substr(6)].push_back(*handle);
  }
  return handles;
}

std::vector<std::string> names_in_rows() {
  std::vector<std::string> names;
  for (const OperatorRow& row : aten_operator_rows()) {
    for (const std::string& name : split(std::string(row.names), ' ')) names.push_back(name);
  }
  return names;
}

// PyTorch 2.15 has none any more.
constexpr bool kHasNamedTensors = TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 15;
const std::set<std::string> kOfNamedTensors = {"align_as",     "align_tensors", "align_to",
                                               "refine_names", "rename",        "rename_"};

// Rows name operators and arguments as PyTorch does.
TEST(OperatorTraits, RowsAreOfPyTorchsOperators) {
  const auto handles = aten_operators();
  for (const std::string& name : names_in_rows()) {
    if (!kHasNamedTensors && kOfNamedTensors.contains(name)) continue;
    const auto found = handles.find(name);
    if (found == handles.end()) {
      ADD_FAILURE() << name << " is no operator of PyTorch";
      continue;
    }
    const OperatorTraits& traits = operator_traits(name);
    std::set<std::string> arguments;
    for (const c10::OperatorHandle& handle : found->second) {
      for (const c10::Argument& argument : handle.schema().arguments()) arguments.insert(argument.name());
    }
    std::vector<std::string_view> said = {traits.shared_input};
    if (traits.inference) said.push_back(traits.inference->argument);
    if (traits.statistics) said.push_back(traits.statistics->flag);
    if (traits.bound) said.insert(said.end(), {traits.bound->input, traits.bound->table, traits.bound->argument});
    for (const std::string_view argument : said) {
      EXPECT_TRUE(argument.empty() || arguments.contains(std::string(argument))) << name << ": " << argument;
    }
    if (traits.inference && !traits.inference->replacement.empty()) {
      EXPECT_TRUE(handles.contains(std::string(traits.inference->replacement))) << name;
    }
  }
}

TEST(OperatorTraits, WhatIsRandomIsWhatPyTorchSays) {
  for (const auto& [name, overloads] : aten_operators()) {
    const bool said = overloads.at(0).hasTag(at::Tag::nondeterministic_seeded);
    if (said && name.starts_with('_')) continue;  // inner parts have no rows
    EXPECT_EQ(operator_traits(name).random, said) << name;
  }
}

// A batch norm as PyTorch's parts have it, which programs reach with
// allow_operators.
Program batch_norm(const std::string& op, const std::string& flag) {
  const TestGraph::Sizes channels = {2};
  TestGraph graph;
  graph.parameter("weight", channels).parameter("bias", channels).buffer("mean", channels).buffer("var", channels);
  graph.input("x", {4, 2, 3});
  std::vector<NamedArgument> arguments = {TestGraph::tensor("input", "x"), TestGraph::tensor("weight", "weight"),
                                          TestGraph::tensor("bias", "bias"), TestGraph::tensor("running_mean", "mean"),
                                          TestGraph::tensor("running_var", "var")};
  if (!flag.empty()) arguments.push_back({flag, true, false});
  arguments.insert(arguments.end(), {{"momentum", 0.1, false}, {"eps", 1e-5, false}});
  graph.node(op + ".default", arguments, "y", {4, 2, 3});
  Graph made = graph.returns({"y"});
  made.nodes[0].outputs.insert(made.nodes[0].outputs.end(), {TensorName{"m"}, TensorName{"s"}});
  if (flag.empty()) made.nodes[0].outputs.emplace_back(TensorName{"reserve"});
  return Program(
      "norm", made,
      {{"weight", at::ones({2})}, {"bias", at::zeros({2})}, {"mean", at::ones({2})}, {"var", at::ones({2})}});
}

TEST(EvalForm, EveryOperatorThatTakesStatisticsStopsOrIsRefused) {
  const auto handles = aten_operators();
  int judged = 0;
  for (const std::string& name : names_in_rows()) {
    const std::optional<StatisticsForm>& form = operator_traits(name).statistics;
    if (!form) continue;
    ++judged;
    Graph graph = batch_norm(name, std::string(form->flag)).graph();
    ASSERT_TRUE(batch_statistics(graph.nodes[0])) << name;
    if (!operator_traits(name).inference) {
      EXPECT_ERROR(eval_form(graph), InputError, name, "statistics of its batch");
      continue;
    }
    EXPECT_FALSE(batch_statistics(eval_form(graph).nodes[0])) << name;
    if (form->flag.empty()) continue;
    for (const char* argument : {"running_mean", "running_var"}) graph.nodes[0].set(argument, NoneArgument{});
    EXPECT_TRUE(batch_statistics(eval_form(graph).nodes[0])) << name;  // it has its batch's only
  }
  EXPECT_GE(judged, 10);
}

TEST(EvalForm, PartsOfBatchNormUseRunningStatistics) {
  const at::Tensor x = at::randn({4, 2, 3});
  const at::Tensor expected = x.sub(1).div(std::sqrt(1 + 1e-5));
  for (const auto& [op, flag] :
       {std::pair("native_batch_norm", "training"), std::pair("_native_batch_norm_legit", "training"),
        std::pair("_batch_norm_with_update", "")}) {
    const Program program = batch_norm(op, flag);
    Executor(program).run({x});
    const at::Tensor trained = program.state().at(2).tensor.clone();
    EXPECT_FALSE(at::equal(trained, at::ones({2}))) << op;
    program.state().at(2).tensor.fill_(1);
    program.state().at(3).tensor.fill_(1);
    const at::Tensor y = Executor(program.with_graph(eval_form(program.graph()))).run({x}).at(0);
    EXPECT_TRUE(at::allclose(y, expected)) << op;
    EXPECT_TRUE(at::equal(program.state().at(2).tensor, at::ones({2}))) << op;
  }
}

}  // namespace
}  // namespace lockstep
