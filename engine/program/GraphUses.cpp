#include "engine/program/GraphUses.h"

#include <algorithm>

#include "common/Text.h"

namespace lockstep {

namespace {

bool same_region(const Node& a, const Node& b) { return a.gradients == b.gradients && a.autocast == b.autocast; }

}  // namespace

GraphUses::GraphUses(const Graph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& name : graph.nodes[i].tensors()) ++readers_[name];
    if (const std::string output = graph.nodes[i].output(); !output.empty()) makers_[output] = i;
  }
  for (const std::string& output : graph.outputs) ++readers_[output];
  for (const Node& node : graph.nodes) {
    for (const std::string& name : node.tensors()) {
      const auto maker = makers_.find(name);
      if (maker != makers_.end() && !same_region(graph.nodes[maker->second], node)) makers_.erase(maker);
    }
  }
}

int GraphUses::readers(const std::string& value) const {
  const auto found = readers_.find(value);
  return found == readers_.end() ? 0 : found->second;
}

Node* GraphUses::maker(Graph& graph, const std::string& value, const std::string& target) const {
  const auto found = makers_.find(value);
  if (found == makers_.end() || graph.nodes[found->second].target != target) return nullptr;
  return &graph.nodes[found->second];
}

bool writes_between(const Node* first, const Node* second) {
  return std::any_of(first + 1, second, [](const Node& node) { return node.in_place(); });
}

std::string describe_change(const Node& node, const std::vector<std::string>& replaced) {
  return join(replaced, ", ") + " → " + node.target.substr(std::string("torch.ops.").size()) + at_source_line(node);
}

}  // namespace lockstep
