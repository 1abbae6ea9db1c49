#include "engine/program/Fusions.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "engine/program/BuiltinPrograms.h"
#include "engine/program/Executor.h"
#include "engine/program/GraphBuilder.h"
#include "engine/program/Layers.h"
#include "engine/program/Passes.h"
#include "tests/support/ProgramResults.h"

namespace lockstep {
namespace {

using Tensors = std::vector<at::Tensor>;

// [linear → gelu] twice, linear; float64.
Program gelu_program(const std::string& approximate) {
  const Program mlp =
      build_builtin_program("mlp",
                            {.input_shape = {1, 4, 5}, .classes = 3, .channels = {}, .hidden = {7, 9}, .dropout = 0})
          .to(at::kDouble);
  Graph graph = mlp.graph();
  for (Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.relu.default") continue;
    node.target = "torch.ops.aten.gelu.default";
    if (!approximate.empty()) node.set("approximate", approximate);
  }
  return mlp.with_graph(graph);
}

TEST(FuseBiasGelu, ComputesTheSame) {
  for (const std::string approximate : {"", "none", "tanh"}) {
    const Program program = gelu_program(approximate);
    std::vector<std::string> changes;
    const Program fused = program.with_graph(fuse_bias_gelu(program.graph(), changes));
    EXPECT_EQ(changes.size(), 2U);
    EXPECT_EQ(changes[0], "linear, relu → lockstep.bias_gelu.default");
    const at::Tensor x = at::randn({6, 1, 4, 5}, at::kDouble);
    const Tensors expected = results(program, x);
    const Tensors found = results(fused, x);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-12, 1e-12)) << approximate << i;
    }
  }
}

TEST(UseOnednnLinear, TakesLargeWeights) {
  const Program mlp = build_builtin_program(
      "mlp", {.input_shape = {256}, .classes = 3, .channels = {}, .hidden = {256, 300, 255}, .dropout = 0});
  std::vector<std::string> changes;
  const Graph changed = use_onednn_linear(mlp.graph(), changes);
  EXPECT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0], "linear → lockstep.linear.default");
  const Program faster = mlp.with_graph(changed);
  for (const std::int64_t samples : {1, 300}) {
    const at::Tensor x = at::randn({samples, 256});
    const Tensors expected = results(mlp, x);
    const Tensors found = results(faster, x);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-4, 1e-4)) << i;
  }
}

TEST(FuseBiasGelu, LeavesALinearThatOthersRead) {
  Graph graph = gelu_program("").graph();
  graph.outputs.push_back("linear");
  std::vector<std::string> changes;
  const Graph fused = fuse_bias_gelu(graph, changes);
  EXPECT_EQ(changes.size(), 1U);
  EXPECT_EQ(fused.nodes[2].target, "torch.ops.aten.gelu.default");
}

// An archive need not name its nodes, nor describe its values.
TEST(Fusions, LeaveOtherNodesWithoutNamesWhereTheyAre) {
  const Program cnn =
      build_builtin_program("cnn", {.input_shape = {1, 12, 12}, .classes = 3, .channels = {4, 6}, .dropout = 0});
  Graph graph = cnn.graph();
  for (Node& node : graph.nodes) node.name.clear();
  std::vector<std::string> changes;
  const Graph fused = fuse_max_pool_relu(graph, changes);
  EXPECT_EQ(changes.size(), 2U);
  EXPECT_EQ(fused.nodes.size(), graph.nodes.size() - 2);
  graph.document.at("graph_module").at("graph").at("tensor_values") = nlohmann::json::object();
  EXPECT_EQ(fuse_max_pool_relu(graph, changes).nodes.size(), graph.nodes.size());
  EXPECT_EQ(changes.size(), 2U);
}

TEST(FuseBiasGelu, LeavesABiasThatIsNotOneNumberAColumn) {
  Graph graph = gelu_program("").graph();
  const std::string bias = graph.nodes[1].tensor("bias");
  graph.document.at("graph_module").at("graph").at("tensor_values").at(bias).at("sizes") = {{{"as_int", 1}}};
  std::vector<std::string> changes;
  fuse_bias_gelu(graph, changes);
  EXPECT_EQ(changes.size(), 1U);
}

// Convolutions of images of `channels`, with and without a bias; two have a stride and a kernel of 1×1.
Program pointwise_program(std::int64_t channels) {
  using layers::conv2d;
  GraphBuilder graph(3);
  const GraphBuilder::Value x = graph.input("x", {channels, 12, 12});
  const GraphBuilder::Value a = conv2d(graph, x, "strided", {.channels = 8, .kernel = 1, .stride = 2, .bias = false});
  const GraphBuilder::Value b = conv2d(graph, x, "wide", {.channels = 8, .kernel = 3, .stride = 2, .padding = 1});
  const GraphBuilder::Value c = conv2d(graph, x, "dense", {.channels = 8, .kernel = 1});
  const GraphBuilder::Value d = conv2d(graph, c, "again", {.channels = 8, .kernel = 1, .stride = 2});
  return graph.build("pointwise", layers::add(graph, layers::add(graph, a, b), d));
}

TEST(SliceBeforeStridedPointwise, ComputesTheSame) {
  const Program program = pointwise_program(6).to(at::kDouble);
  std::vector<std::string> changes;
  const Program sliced = program.with_graph(slice_before_strided_pointwise(program.graph(), changes));
  EXPECT_EQ(changes, (std::vector<std::string>{"conv2d → lockstep.strided_pointwise_conv2d.default",
                                               "conv2d_3 → lockstep.strided_pointwise_conv2d.default"}));
  const at::Tensor x = at::randn({5, 6, 12, 12}, at::kDouble);
  const Tensors expected = results(program, x);
  const Tensors found = results(sliced, x);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-12, 1e-12)) << i;
}

TEST(SliceBeforeStridedPointwise, LeavesKernelsOverManyChannels) {
  std::vector<std::string> changes;
  slice_before_strided_pointwise(pointwise_program(16).graph(), changes);
  EXPECT_EQ(changes.size(), 1U);
}

// oneDNN's gradient writes beyond its buffer on processors with AVX2 alone, by which a later allocation fails.
TEST(SliceBeforeStridedPointwise, ChannelsLastLeavesTheHeapWhole) {
  std::vector<std::string> changes;
  const Program program = with_channels_last(pointwise_program(6), changes);
  const at::Tensor x = at::randn({8, 6, 12, 12}).contiguous(at::MemoryFormat::ChannelsLast);
  for (int i = 0; i < 60; ++i) {
    const Tensors found = results(program, x);
    for (int size = 1; size < 100; ++size) EXPECT_EQ(at::zeros({size}).numel(), size);
  }
}

}  // namespace
}  // namespace lockstep
