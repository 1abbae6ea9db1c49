// Small graphs, node by node.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// Builds a graph; values are float32 unless a type (numbered as an archive does) is given. Free of torch.
class TestGraph {
 public:
  using Sizes = std::vector<Dimension>;

  TestGraph& input(const std::string& name, const Sizes& sizes, int type = 7) {
    return given(InputKind::kUserInput, name, sizes, type);
  }
  TestGraph& parameter(const std::string& name, const Sizes& sizes, int type = 7) {
    return given(InputKind::kParameter, name, sizes, type);
  }
  TestGraph& buffer(const std::string& name, const Sizes& sizes, int type = 7) {
    return given(InputKind::kBuffer, name, sizes, type);
  }
  /// `op`: `relu.default`. The result is named `result`.
  TestGraph& node(const std::string& op, std::vector<NamedArgument> inputs, const std::string& result,
                  const Sizes& sizes, int type = 7) {
    describe(result, sizes, type);
    graph_.nodes.push_back({.target = "torch.ops.aten." + op,
                            .inputs = std::move(inputs),
                            .outputs = {TensorName{result}},
                            .metadata = nlohmann::json::object(),
                            .name = result});
    return *this;
  }
  /// A node of any kind; its results are described apart.
  TestGraph& call(Node node) {
    graph_.nodes.push_back(std::move(node));
    return *this;
  }
  Graph returns(std::vector<std::string> outputs) {
    graph_.outputs = std::move(outputs);
    return graph_;
  }

  static NamedArgument tensor(const std::string& argument, const std::string& value) {
    return {argument, TensorName{value}, false};
  }

  void describe(const std::string& value, const Sizes& sizes, int type) {
    nlohmann::json entries = nlohmann::json::array();
    for (const Dimension& size : sizes) {
      if (const auto* symbol = std::get_if<std::string>(&size)) {
        entries.push_back({{"as_expr", {{"expr_str", "Symbol('" + *symbol + "', positive=True, integer=True)"}}}});
      } else {
        entries.push_back({{"as_int", std::get<std::int64_t>(size)}});
      }
    }
    graph_.document["graph_module"]["graph"]["tensor_values"][value] = {
        {"dtype", type}, {"sizes", entries}, {"requires_grad", false}};
  }

 private:
  TestGraph& given(InputKind kind, const std::string& name, const Sizes& sizes, int type) {
    describe(name, sizes, type);
    graph_.inputs.push_back({kind, name, kind == InputKind::kUserInput ? "" : name, true});
    return *this;
  }

  Graph graph_;
};

}  // namespace lockstep
