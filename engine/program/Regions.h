// Graphs within a graph: what a forward does under `with torch.no_grad()` or `with torch.autocast(…, enabled=False)`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// A region as torch.export writes it: a call of `torch.ops.higher_order.wrap_with_set_grad_enabled` or
/// `wrap_with_autocast` with a graph among its arguments, which is called with the arguments behind it.
///
/// Its nodes take the call's place: Node::gradients and Node::autocast say what the region said. Without gradients its
/// results are detached, so that a graph that is written back means the same to whoever trains it again.
class Region {
 public:
  /// Whether the node is such a call. What it refers to must outlive the region.
  static bool is(const Node& call);
  /// Throws InputError for a region that turns gradients or autocast on, and for a call that is not made up as above.
  explicit Region(const Node& call);

  /// The graph: JSON with the keys inputs, outputs, nodes, tensor_values and the like.
  const nlohmann::json& graph() const { return *graph_; }
  /// The nodes that take the call's place. `body`: those of the graph, with no region among them; `inner`: the graph
  /// with the values of regions within it. `around`: the graph that holds the call; it is told of all these values,
  /// under names that are free there.
  std::vector<Node> inlined(std::vector<Node> body, const nlohmann::json& inner, nlohmann::json& around) const;

 private:
  const Node& call_;
  const nlohmann::json* graph_ = nullptr;
  std::vector<Argument> given_;  ///< for the graph's inputs
  bool gradients_ = true;
};

}  // namespace lockstep
