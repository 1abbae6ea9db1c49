#include "engine/session/FittingSamples.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "common/Error.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/session/MadeUpProbes.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

using nlohmann::json;

json size(std::int64_t value) { return {{"as_int", value}}; }
const json kOpen = {{"as_expr", {{"expr_str", "Symbol('s7', positive=True)"}}}};

json tensor(const json& sizes, int type) { return {{"dtype", type}, {"sizes", sizes}, {"requires_grad", false}}; }

/// tokens [s7, 6] of int64 → view → embedding [11, 4] → logits [s7, 6, 4].
Graph language_model() {
  Graph graph;
  graph.inputs = {{InputKind::kParameter, "table", "table", true}, {InputKind::kUserInput, "tokens", "", true}};
  graph.outputs = {"logits"};
  graph.nodes.resize(2);
  graph.nodes[0] = {.target = "torch.ops.aten.view.default",
                    .inputs = {{"self", TensorName{"tokens"}}, {"size", std::vector<std::int64_t>{-1, 6}}},
                    .outputs = {TensorName{"rows"}},
                    .name = "view"};
  graph.nodes[1] = {.target = "torch.ops.aten.embedding.default",
                    .inputs = {{"weight", TensorName{"table"}}, {"indices", TensorName{"rows"}}},
                    .outputs = {TensorName{"logits"}},
                    .name = "embedding"};
  graph.document["graph_module"]["graph"]["tensor_values"] = {{"table", tensor({size(11), size(4)}, 7)},
                                                              {"tokens", tensor({kOpen, size(6)}, 5)},
                                                              {"rows", tensor({kOpen, size(6)}, 5)},
                                                              {"logits", tensor({kOpen, size(6), size(4)}, 7)}};
  return graph;
}

json& value(Graph& graph, const char* name) {
  return graph.document.at("graph_module").at("graph").at("tensor_values").at(name);
}

TEST(FittingSamples, OfABuiltinProgram) {
  const Program program = build_builtin_program("mlp", {.input_shape = {2, 3, 5}, .classes = 7, .channels = {}});
  const SampleSpec labels = fitting_samples(program.graph(), program.graph().outputs.at(0), /*class_labels=*/true);
  ASSERT_EQ(labels.fields.size(), 2);
  EXPECT_EQ(labels.fields[0].name, "x");
  EXPECT_EQ(labels.fields[0].sizes, (std::vector<std::int64_t>{2, 3, 5}));
  EXPECT_EQ(labels.fields[0].type, ElementType::kFloat);
  EXPECT_EQ(labels.fields[1].name, "targets");
  EXPECT_EQ(labels.fields[1].type, ElementType::kInt64);
  EXPECT_EQ(labels.fields[1].bound, 7);
  EXPECT_TRUE(labels.fields[1].sizes.empty());
  const SampleSpec numbers =
      fitting_samples(program.to(at::kDouble).graph(), program.graph().outputs.at(0), /*class_labels=*/false);
  EXPECT_EQ(numbers.fields[0].type, ElementType::kDouble);
  EXPECT_EQ(numbers.fields[1].type, ElementType::kDouble);
  EXPECT_EQ(numbers.fields[1].sizes, (std::vector<std::int64_t>{7}));
}

TEST(FittingSamples, TokensAreBelowTheTableThatReadsThem) {
  const SampleSpec spec = fitting_samples(language_model(), "logits", /*class_labels=*/true);
  EXPECT_EQ(spec.fields[0].sizes, (std::vector<std::int64_t>{6}));
  EXPECT_EQ(spec.fields[0].type, ElementType::kInt64);
  EXPECT_EQ(spec.fields[0].bound, 11);
  EXPECT_EQ(spec.fields[1].sizes, (std::vector<std::int64_t>{6}));
  EXPECT_EQ(spec.fields[1].bound, 4);
}

TEST(FittingSamples, OfSeveralInputs) {
  Graph graph = language_model();
  graph.inputs.push_back({.kind = InputKind::kUserInput, .value = "mask", .state_name = {}});
  json mask = value(graph, "tokens");
  mask["dtype"] = 12;
  graph.document.at("graph_module").at("graph").at("tensor_values")["mask"] = mask;
  value(graph, "tokens")["dtype"] = 4;
  const SampleSpec spec = fitting_samples(graph, "logits", /*class_labels=*/true);
  ASSERT_EQ(spec.fields.size(), 3);
  EXPECT_EQ(spec.fields[0].type, ElementType::kInt32);
  EXPECT_EQ(spec.fields[0].bound, 11);
  EXPECT_EQ(spec.fields[1].name, "mask");
  EXPECT_EQ(spec.fields[1].type, ElementType::kBool);
  EXPECT_EQ(spec.fields[1].bound, 2);
  EXPECT_EQ(spec.fields[2].name, "targets");
}

TEST(FittingSamples, TokensAreBelowTheClassesThatOneHotMakes) {
  Graph graph = language_model();
  graph.nodes[1].target = "torch.ops.aten.one_hot.default";
  graph.nodes[1].inputs = {{"self", TensorName{"rows"}}, {"num_classes", std::int64_t{9}}};
  EXPECT_EQ(fitting_samples(graph, "logits", /*class_labels=*/true).fields[0].bound, 9);
  graph.nodes[1].set("num_classes", std::int64_t{-1});  // as many as the largest token says
  EXPECT_ERROR(fitting_samples(graph, "logits", /*class_labels=*/true), InputError, "no embedding reads it");
}

// table [s7, 6], of which a column each goes to tables of 10 and of 1000 rows: data is not held to the smaller one.
TEST(FittingSamples, ColumnsOfATableHaveTheirOwnBounds) {
  Graph graph = language_model();
  auto& values = graph.document.at("graph_module").at("graph").at("tensor_values");
  graph.nodes.clear();
  const auto add = [&](const std::string& target, std::vector<NamedArgument> inputs, const std::string& output,
                       const json& sizes) {
    graph.nodes.push_back(
        {.target = target, .inputs = std::move(inputs), .outputs = {TensorName{output}}, .name = output});
    values[output] = tensor(sizes, 5);
  };
  for (const std::int64_t rows : {10, 1000}) {
    const std::string name = std::to_string(rows);
    values["table" + name] = tensor({size(rows), size(4)}, 7);
    add("torch.ops.aten.select.int", {{"self", TensorName{"tokens"}}, {"dim", std::int64_t{1}}, {"index", rows / 1000}},
        "column" + name, json::array({kOpen}));
    add("torch.ops.aten.embedding.default",
        {{"weight", TensorName{"table" + name}}, {"indices", TensorName{"column" + name}}}, "vector" + name,
        {kOpen, size(4)});
  }
  EXPECT_EQ(find_vocabulary(graph, "tokens"), std::nullopt);
  EXPECT_EQ(find_safe_vocabulary(graph, "tokens"), 10);
  EXPECT_EQ(fitting_samples(graph, "logits", /*class_labels=*/true).fields[0].bound, 10);
  // A slice of everything, and one that leaves something out.
  values["table7"] = tensor({size(7), size(4)}, 7);
  add("torch.ops.aten.slice.Tensor", {{"self", TensorName{"tokens"}}}, "rows", {kOpen, size(6)});
  add("torch.ops.aten.embedding.default", {{"weight", TensorName{"table7"}}, {"indices", TensorName{"rows"}}},
      "vector7", {kOpen, size(6), size(4)});
  EXPECT_EQ(find_vocabulary(graph, "tokens"), 7);
  values["rows"] = tensor({kOpen, size(5)}, 5);
  EXPECT_EQ(find_vocabulary(graph, "tokens"), std::nullopt);
  EXPECT_EQ(find_safe_vocabulary(graph, "tokens"), 7);
}

// The tokens' vectors times a mask of integers, or divided by it, which is not finite where that is 0.
Program masked(const std::string& op) {
  TestGraph graph;
  graph.input("tokens", {"s7", 6}, 5).input("mask", {"s7", 6, 1}, 5).parameter("table", {11, 4});
  graph.node("embedding.default", {TestGraph::tensor("weight", "table"), TestGraph::tensor("indices", "tokens")},
             "vectors", {"s7", 6, 4});
  graph.node(op, {TestGraph::tensor("self", "vectors"), TestGraph::tensor("other", "mask")}, "y", {"s7", 6, 4});
  return Program("masked", graph.returns({"y"}), {{"table", at::rand({11, 4}) + 0.1}});
}

TEST(MadeUpProbes, IntegersThatNothingBoundsAreMasks) {
  const std::vector<Probe::Inputs> probes = made_up_probes(masked("mul.Tensor"));
  ASSERT_EQ(probes.size(), 2);
  EXPECT_GT(probes[1].at(0).max().item<std::int64_t>(), 1);
  EXPECT_EQ(probes[1].at(1).min().item<std::int64_t>(), 0);
  EXPECT_EQ(probes[1].at(1).max().item<std::int64_t>(), 1);
  EXPECT_TRUE(made_up_probes(masked("div.Tensor")).empty());
}

TEST(FittingSamples, RefusesWhatItCannotMake) {
  const auto refused = [](const Graph& graph, const std::string& text, const std::string& more) {
    EXPECT_ERROR(fitting_samples(graph, "logits", /*class_labels=*/true), InputError, text, more);
  };
  Graph graph = language_model();
  graph.nodes[1].set("indices", TensorName{"others"});
  refused(graph, "no embedding reads it", "tokens");
  graph = language_model();
  value(graph, "tokens")["sizes"][1] = kOpen;
  refused(graph, "dimension 1 of tokens is \"s7\"", "fixed size");
  graph = language_model();
  value(graph, "logits")["sizes"][1] = kOpen;
  refused(graph, "dimension 1 of logits", "fixed size");
  graph = language_model();
  value(graph, "tokens")["dtype"] = 3;
  refused(graph, "float32 or float64", "tokens is int16");
  graph = language_model();
  value(graph, "logits")["sizes"] = {kOpen};
  refused(graph, "[batch, …, classes]", "logits is [batch]");
  graph = language_model();
  value(graph, "tokens")["sizes"] = json::array();
  refused(graph, "batch dimension", "tokens");
  for (const std::int64_t impossible : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 62}) {
    graph = language_model();
    value(graph, "tokens")["sizes"][1] = size(impossible);
    refused(graph, "sizes of tokens", std::to_string(impossible));
  }
}

TEST(FittingSamples, HaveNoTargetsWhereTheProgramTakesNone) {
  const SampleSpec spec = fitting_samples(language_model(), "", /*class_labels=*/false);
  ASSERT_EQ(spec.fields.size(), 1);
  EXPECT_EQ(spec.fields[0].name, "tokens");
}

}  // namespace
}  // namespace lockstep
