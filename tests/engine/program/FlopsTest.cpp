#include "engine/program/Flops.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/program/BuiltinPrograms.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TestGraph.h"

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

// Of one node of each operator, on tensors of these sizes.
double multiply_adds(const std::string& target, const std::vector<std::pair<std::string, TestGraph::Sizes>>& tensors,
                     const TestGraph::Sizes& result, const std::vector<NamedArgument>& others = {}) {
  TestGraph graph;
  graph.input("batch", {1});
  std::vector<NamedArgument> arguments = others;
  std::map<std::string, TensorNames> lists;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, sizes] = tensors[i];
    const std::string value = "value" + std::to_string(i);
    graph.input(value, sizes);
    if (name.ends_with("[]")) {
      lists[name.substr(0, name.size() - 2)].names.emplace_back(value);
    } else {
      arguments.push_back(TestGraph::tensor(name, value));
    }
  }
  for (const auto& [name, list] : lists) arguments.push_back({name, list, false});
  graph.node(target, arguments, "result", result);
  return forward_flops(graph.returns({"result"}), 1) / 2;
}

TEST(Flops, OfRecurrentLayersTakeAllMatricesAtEachPlace) {
  // Two layers in both directions: 4·7 rows of 5, 14 and 7 columns.
  std::vector<std::pair<std::string, TestGraph::Sizes>> lstm = {{"input", {2, 3, 5}}, {"hx[]", {4, 2, 7}}};
  double matrices = 0;
  for (const std::int64_t from : {5, 5, 14, 14}) {
    for (const TestGraph::Sizes& sizes : std::vector<TestGraph::Sizes>{{28, from}, {28, 7}, {28}, {28}}) {
      lstm.emplace_back("params[]", sizes);
    }
    matrices += 28.0 * static_cast<double>(from + 7);
  }
  EXPECT_EQ(multiply_adds("lstm.input", lstm, {2, 3, 14}), 2 * 3 * matrices);
  EXPECT_EQ(multiply_adds("gru.data", {{"data", {9, 5}}, {"params[]", {18, 5}}, {"params[]", {18, 6}}}, {9, 6}),
            9 * 18 * (5 + 6));
  for (const char* cell : {"lstm_cell.default", "gru_cell.default", "rnn_tanh_cell.default", "rnn_relu_cell.default"}) {
    EXPECT_EQ(multiply_adds(cell, {{"input", {2, 5}}, {"w_ih", {16, 5}}, {"w_hh", {16, 4}}}, {2, 4}), 2 * 16 * (5 + 4));
  }
}

TEST(Flops, OfEinsumAreThoseOfItsProducts) {
  const auto einsum = [](const char* equation, const std::vector<TestGraph::Sizes>& operands) {
    std::vector<std::pair<std::string, TestGraph::Sizes>> tensors;
    for (const TestGraph::Sizes& sizes : operands) tensors.emplace_back("tensors[]", sizes);
    return multiply_adds("einsum.default", tensors, {1}, {{"equation", std::string(equation), false}});
  };
  EXPECT_EQ(einsum("bld,dk->blk", {{2, 3, 5}, {5, 7}}), 2 * 3 * 5 * 7);
  EXPECT_EQ(einsum("b h q d, b h k d -> b h q k", {{2, 4, 3, 5}, {2, 4, 6, 5}}), 2 * 4 * 3 * 6 * 5);
  EXPECT_EQ(einsum("...ij,jk->...ik", {{2, 3, 4, 5}, {5, 6}}), 2 * 3 * 4 * 5 * 6);
  EXPECT_EQ(einsum("ij,jk", {{4, 5}, {5, 6}}), 4 * 5 * 6);
  EXPECT_EQ(einsum("ij,jk,kl->il", {{2, 3}, {3, 4}, {4, 5}}), 2 * 3 * 4 + 2 * 4 * 5);
  EXPECT_EQ(einsum("ijx,jk->ik", {{4, 5, 9}, {5, 6}}), 4 * 5 * 6);  // x is summed before
  EXPECT_EQ(einsum("i,j->ij", {{4}, {5}}), 0);                      // nothing is summed
  EXPECT_EQ(einsum("ii->i", {{4, 4}}), 0);
  EXPECT_ERROR(einsum("ij,jk->ik", {{4, 5}}), InputError, "einsum", "1 operands");
  EXPECT_ERROR(einsum("ij,jk->ik", {{4, 5}, {5}}), InputError, "\"jk\" does not name [5]");
}

TEST(Flops, OfOtherProducts) {
  EXPECT_EQ(multiply_adds("mv.default", {{"self", {4, 5}}, {"vec", {5}}}, {4}), 4 * 5);
  EXPECT_EQ(multiply_adds("addmv.default", {{"self", {4}}, {"mat", {4, 5}}, {"vec", {5}}}, {4}), 4 * 5);
  EXPECT_EQ(multiply_adds("dot.default", {{"self", {5}}, {"tensor", {5}}}, {}), 5);
  EXPECT_EQ(multiply_adds("inner.default", {{"self", {2, 3, 5}}, {"other", {7, 5}}}, {2, 3, 7}), 2 * 3 * 7 * 5);
  EXPECT_EQ(multiply_adds("addbmm.default", {{"self", {3, 4}}, {"batch1", {2, 3, 5}}, {"batch2", {2, 5, 4}}}, {3, 4}),
            2 * 3 * 5 * 4);
  EXPECT_EQ(multiply_adds("tensordot.default", {{"self", {2, 3, 5}}, {"other", {5, 3, 7}}}, {2, 7},
                          {{"dims_self", std::vector<std::int64_t>{-1, 1}, false}}),
            2 * 3 * 5 * 7);
  EXPECT_EQ(multiply_adds("bilinear.default", {{"input1", {2, 5}}, {"input2", {2, 4}}, {"weight", {3, 5, 4}}}, {2, 3}),
            2 * (3 * 5 * 4 + 3 * 4));
  EXPECT_EQ(multiply_adds("convolution.default", {{"input", {1, 4, 6}}, {"weight", {4, 3, 2}}}, {1, 3, 12},
                          {{"transposed", true, false}}),
            4 * 6 * 3 * 2);
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
