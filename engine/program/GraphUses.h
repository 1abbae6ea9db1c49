// Who makes and who reads the values of a graph: for passes that replace nodes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// Of a graph whose nodes stay where they are; values and operators may change.
class GraphUses {
 public:
  explicit GraphUses(const Graph& graph);

  /// How many nodes read a value; being an output of the graph counts as one more.
  int readers(const std::string& value) const;
  /// The node of this operator that makes `value`, or nullptr; also where a node reads it that computes otherwise, with
  /// gradients or autocast off: the two cannot become one. `graph` is the one that this was made of.
  Node* maker(Graph& graph, const std::string& value, const std::string& target) const;

 private:
  std::map<std::string, std::size_t> makers_;
  std::map<std::string, int> readers_;
};

/// Whether a node between the two, of one graph and in this order, writes into memory: what is read at the one may
/// differ at the other.
bool writes_between(const Node* first, const Node* second);

/// "linear, gelu → lockstep.bias_gelu.default (File "model.py", line 7, in forward)": what a pass put in whose place.
std::string describe_change(const Node& node, const std::vector<std::string>& replaced);

}  // namespace lockstep
