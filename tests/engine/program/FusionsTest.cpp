#include "engine/program/Fusions.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "engine/program/BuiltinPrograms.h"
#include "engine/program/Executor.h"
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

}  // namespace
}  // namespace lockstep
