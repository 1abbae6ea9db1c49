#include "engine/program/Passes.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "engine/program/BuiltinPrograms.h"
#include "engine/program/Executor.h"
#include "tests/support/ProgramResults.h"

namespace lockstep {
namespace {

using Tensors = std::vector<at::Tensor>;

Graph moved(const Graph& graph) {
  std::vector<std::string> changes;
  return relu_after_max_pool(graph, changes);
}

Program channels_last(const Program& program) {
  std::vector<std::string> changes;
  return with_channels_last(program, changes);
}

Program cnn() {
  return build_builtin_program(
      "cnn",
      {.input_shape = {1, 12, 12}, .classes = 3, .channels = {4, 6}, .hidden = {5}, .batch_norm = false, .dropout = 0});
}

std::vector<std::string> targets(const Graph& graph) {
  std::vector<std::string> found;
  for (const Node& node : graph.nodes) {
    const std::size_t start = std::string("torch.ops.aten.").size();
    found.push_back(node.target.substr(start, node.target.rfind('.') - start));
  }
  return found;
}

TEST(ReluAfterMaxPool, SwapsTheTwoAndNothingElse) {
  const Program program = cnn();
  const Graph rewritten = moved(program.graph());
  EXPECT_EQ(targets(program.graph()), (std::vector<std::string>{"conv2d", "relu", "max_pool2d", "conv2d", "relu",
                                                                "max_pool2d", "flatten", "linear", "relu", "linear"}));
  EXPECT_EQ(targets(rewritten), (std::vector<std::string>{"conv2d", "max_pool2d", "relu", "conv2d", "max_pool2d",
                                                          "relu", "flatten", "linear", "relu", "linear"}));
  EXPECT_EQ(rewritten.sizes("relu"), program.graph().sizes("max_pool2d"));
}

TEST(ReluAfterMaxPool, IsExactInValuesAndGradientsAlsoWithTies) {
  const Program program = cnn();
  const Program rewritten = program.with_graph(moved(program.graph()));
  // Small integers give windows with ties, and windows without a positive value.
  for (const at::Tensor& x :
       {at::randn({7, 1, 12, 12}), at::randint(-2, 3, {7, 1, 12, 12}).to(at::kFloat), at::zeros({2, 1, 12, 12})}) {
    const Tensors expected = results(program, x);
    const Tensors found = results(rewritten, x);
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i])) << i;
  }
}

TEST(ReluAfterMaxPool, LeavesWhatItCannotKnow) {
  // Read twice: both of the pool's neighbours would need the values before and after.
  Graph twice = cnn().graph();
  twice.outputs.push_back("relu");
  EXPECT_EQ(targets(moved(twice))[1], "relu");
  EXPECT_EQ(targets(moved(twice))[4], "max_pool2d");
  // An operator in place behind the pool would write into what ReLU keeps for its backward.
  Graph in_place = cnn().graph();
  for (Node& node : in_place.nodes) {
    if (node.name == "relu_2") node.target = "torch.ops.aten.relu_.default";
  }
  EXPECT_EQ(targets(moved(in_place)), targets(in_place));
  // A dilated window may hold nothing but padding.
  Graph dilated = cnn().graph();
  for (Node& node : dilated.nodes) {
    if (node.name.starts_with("max_pool2d")) node.set("dilation", std::vector<std::int64_t>{1, 2});
  }
  EXPECT_EQ(targets(moved(dilated)), targets(dilated));
  // Batch norm's counter is state, not an activation.
  const Graph counted = build_builtin_program("cnn", {.input_shape = {1, 8, 8}, .classes = 2, .channels = {3}}).graph();
  EXPECT_NE(targets(moved(counted)), targets(counted));
}

TEST(WithChannelsLast, ChangesOnlyTheOrderOfKernelsInMemory) {
  const Program program = cnn();
  const Program rewritten = channels_last(program);
  int kernels = 0;
  for (const GraphInput& input : program.graph().inputs) {
    if (input.kind == InputKind::kUserInput) continue;
    const at::Tensor& before = program.tensor(input);
    const at::Tensor& after = rewritten.tensor(input);
    EXPECT_TRUE(at::equal(after, before)) << input.state_name;
    EXPECT_EQ(after.requires_grad(), before.requires_grad());
    EXPECT_TRUE(after.is_leaf());
    if (before.dim() == 4) {
      ++kernels;
      EXPECT_EQ(after.suggest_memory_format(), at::MemoryFormat::ChannelsLast) << input.state_name;
    } else {
      EXPECT_TRUE(after.is_same(before)) << input.state_name;
    }
  }
  EXPECT_EQ(kernels, 2);
  const at::Tensor x = at::randn({5, 1, 12, 12});
  const Tensors expected = results(program, x);
  const Tensors found = results(rewritten, x);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-4, 1e-4)) << i;
  EXPECT_EQ(rewritten.digest(), program.digest());
}

void append(Graph& graph, const std::string& op, std::vector<NamedArgument> inputs, const std::string& result) {
  graph.nodes.push_back({"torch.ops.aten." + op, std::move(inputs), {TensorName{result}}, {}, result});
  graph.outputs.push_back(result);
}

void expect_same_outputs(const Program& program) {
  const at::Tensor x = at::randn({5, 1, 12, 12});
  const Tensors expected = Executor(program).run({x});
  const Tensors found = Executor(channels_last(program)).run({x});
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-4, 1e-4)) << i;
}

bool is_converted(const Program& program) {
  for (const StateTensor& entry : channels_last(program).state()) {
    if (entry.tensor.dim() == 4 && entry.tensor.suggest_memory_format() == at::MemoryFormat::ChannelsLast) return true;
  }
  return false;
}

TEST(WithChannelsLast, ViewsOfImagesAreCopiesInThatOrder) {
  Graph graph = cnn().graph();
  for (Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.flatten.using_ints") continue;
    node.target = "torch.ops.aten.view.default";
    node.inputs = {{"self", TensorName{node.tensor("self")}, false},
                   {"size", std::vector<std::int64_t>{-1, 54}, false}};
  }
  const Program program = cnn().with_graph(graph);
  EXPECT_TRUE(is_converted(program));
  expect_same_outputs(program);
  // The program's own graph needs its own order again, also where there is one channel.
  const Program back = channels_last(program).row_major().with_graph(graph);
  EXPECT_NO_THROW(Executor(back).run({at::randn({5, 1, 12, 12})}));
}

TEST(WithChannelsLast, AKernelMayHaveOtherReaders) {
  Graph graph = cnn().graph();
  append(graph, "view.default",
         {{"self", TensorName{graph.nodes.at(0).tensor("weight")}, false},
          {"size", std::vector<std::int64_t>{4, 9}, false}},
         "rows");
  append(graph, "conv2d.default",
         {{"input", TensorName{"x"}, false}, {"weight", TensorName{graph.nodes.at(0).tensor("weight")}, false}},
         "again");
  const Program program = cnn().with_graph(graph);
  EXPECT_TRUE(is_converted(program));
  expect_same_outputs(program);
}

TEST(WithChannelsLast, LeavesAProgramThatReadsAWriteThroughAnotherName) {
  Graph graph = cnn().graph();
  append(graph, "flatten.using_ints", {{"self", TensorName{"conv2d"}, false}, {"start_dim", std::int64_t{1}, false}},
         "rows");
  append(graph, "add_.Tensor", {{"self", TensorName{"rows"}, false}, {"other", 1.0, false}}, "changed");
  const Program accepted = cnn().with_graph(graph);
  EXPECT_TRUE(is_converted(accepted));
  expect_same_outputs(accepted);
  append(graph, "relu.default", {{"self", TensorName{"conv2d"}, false}}, "read");
  const Program left = cnn().with_graph(graph);
  EXPECT_FALSE(is_converted(left));
  expect_same_outputs(left);
}

TEST(WithChannelsLast, TiedKernelsStayTied) {
  const Program program = cnn();
  std::map<std::string, at::Tensor> state;
  for (const StateTensor& entry : program.state()) state[entry.name] = entry.tensor;
  Graph graph = program.graph();
  GraphInput again = graph.inputs.at(0);
  again.value += "_again";
  again.state_name += "_again";
  state[again.state_name] = state.at(graph.inputs[0].state_name);
  graph.inputs.insert(graph.inputs.begin(), again);
  const Program rewritten = channels_last(Program("tied", graph, state));
  EXPECT_TRUE(rewritten.tensor(graph.inputs[0]).is_same(rewritten.tensor(graph.inputs[1])));
}

}  // namespace
}  // namespace lockstep
