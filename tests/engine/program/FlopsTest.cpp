#include "engine/program/Flops.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "engine/program/BuiltinPrograms.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

TEST(Flops, OfABuiltinProgram) {
  const Program program = build_builtin_program(
      "cnn", {.input_shape = {3, 8, 8}, .classes = 5, .channels = {4}, .hidden = {7}, .batch_norm = true});
  const double forward = 2 * (8 * 8 * 4 * 3 * 9 + 4 * 4 * 4 * 7 + 7 * 5);
  EXPECT_EQ(forward_flops(program.graph(), 1), forward);
  EXPECT_EQ(forward_flops(program.graph(), 256), 256 * forward);
  EXPECT_EQ(training_flops(program.graph(), 2), 6 * forward);
}

TEST(Flops, RefusesAGraphThatDoesNotSay) {
  Graph graph = build_builtin_program("mlp", {.channels = {}}).graph();
  auto& values = graph.document.at("graph_module").at("graph").at("tensor_values");
  const std::string input = graph.user_inputs().at(0)->value;
  const nlohmann::json sizes = values.at(input).at("sizes");
  values.at(input).at("sizes")[0].at("as_expr").erase("hint");
  EXPECT_ERROR(forward_flops(graph, 1), InputError, input, "in the example");
  for (const nlohmann::json& none : {nlohmann::json::array(), nlohmann::json({{{"as_int", 0}}})}) {
    values.at(input)["sizes"] = none;
    EXPECT_ERROR(forward_flops(graph, 1), InputError, "batch dimension");
  }
  values.at(input)["sizes"] = sizes;
  for (Node& node : graph.nodes) {
    if (node.target == "torch.ops.aten.linear.default") node.set("input", NoneArgument{});
  }
  EXPECT_ERROR(forward_flops(graph, 1), InputError, "no entry");
  graph.inputs.clear();
  EXPECT_ERROR(forward_flops(graph, 1), InputError, "no input");
}

}  // namespace
}  // namespace lockstep
