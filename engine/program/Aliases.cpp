#include "engine/program/Aliases.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string_view>

#include "engine/program/OperatorTraits.h"

namespace lockstep {

namespace {

Sharing sharing(const Node& node) { return node.in_place() ? Sharing::kAlways : operator_traits(node).sharing; }

// The tensors in whose memory the node's outputs may lie.
std::vector<std::string> sources(const Node& node) {
  const std::string_view one = node.in_place() ? "self" : operator_traits(node).shared_input;
  return one.empty() ? node.tensors() : std::vector{node.tensor(one)};
}

/// Sets of names that grow together.
class Sets {
 public:
  std::string of(const std::string& name) {
    std::string root = name;
    for (auto next = parents_.find(root); next != parents_.end(); next = parents_.find(root)) root = next->second;
    return root;
  }
  void join(const std::string& a, const std::string& b) {
    const std::string root = of(a);
    if (const std::string other = of(b); other != root) parents_[other] = root;
  }

 private:
  std::map<std::string, std::string> parents_;
};

}  // namespace

bool may_share_memory(const Node& node) { return sharing(node) != Sharing::kNever; }

std::map<std::string, std::string> shared_memory(const Graph& graph) {
  Sets sets;
  std::map<std::string, std::string> memory;
  for (const GraphInput& input : graph.inputs) memory[input.value];
  for (const Node& node : graph.nodes) {
    for (const std::string& result : node.results()) {
      memory[result];
      if (!may_share_memory(node)) continue;
      for (const std::string& source : sources(node)) sets.join(source, result);
    }
  }
  for (auto& [value, representative] : memory) representative = sets.of(value);
  return memory;
}

std::vector<AliasedWrite> aliased_writes(const Graph& graph) {
  constexpr std::size_t kNextRun = std::numeric_limits<std::size_t>::max();
  struct Life {
    std::size_t defined = 0;  // by this node, counted from 1; 0: given to the program
    std::size_t last_read = 0;
  };
  std::map<std::string, Life> lives;
  Sets sharing_always;
  Sets sharing_perhaps;
  std::set<std::string> state;
  for (const GraphInput& input : graph.inputs) {
    lives[input.value].last_read = input.kind == InputKind::kUserInput ? 0 : kNextRun;
    if (input.kind != InputKind::kUserInput) state.insert(input.value);
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (const std::string& read : node.tensors()) {
      std::size_t& last = lives[read].last_read;
      last = std::max(last, i + 1);
    }
    const Sharing kind = sharing(node);
    for (const std::string& result : node.results()) {
      lives[result].defined = i + 1;
      if (kind == Sharing::kNever) continue;
      for (const std::string& source : sources(node)) {
        sharing_perhaps.join(source, result);
        if (kind == Sharing::kAlways) sharing_always.join(source, result);
      }
    }
  }
  for (const std::string& output : graph.outputs) lives[output].last_read = kNextRun;

  std::vector<AliasedWrite> writes;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!node.in_place()) continue;
    const std::string self = node.tensor("self");
    for (const auto& [name, life] : lives) {
      // A name that is defined later is made of one that is read later.
      if (life.defined > i || life.last_read <= i + 1 || (name == self && !state.contains(name))) continue;
      if (sharing_perhaps.of(name) != sharing_perhaps.of(self)) continue;
      writes.push_back({&node, name, sharing_always.of(name) != sharing_always.of(self)});
    }
  }
  return writes;
}

}  // namespace lockstep
