#include "engine/program/Repeatable.h"

#include <algorithm>
#include <optional>
#include <set>

#include "common/Text.h"
#include "engine/program/Aliases.h"
#include "engine/program/BatchStatistics.h"
#include "engine/program/OperatorTraits.h"

namespace lockstep {

namespace {

// An operator in place computes what the other form does, where it has no row of its own.
Again again(const Node& node) {
  const Again own = operator_traits(node).again;
  if (own != Again::kNever || !node.in_place()) return own;
  std::string name = node.aten_name();
  if (name.ends_with('_')) name.pop_back();
  return operator_traits(name).again;
}

bool operator_is_repeatable(const Node& node, Recompute mode, bool random) {
  if (node.results().empty()) return false;  // a size, which is kept
  const Again kind = again(node);
  if (kind == Again::kNever || (kind == Again::kDear && mode == Recompute::kAuto)) return false;
  return random || !operator_traits(node).random;
}

}  // namespace

Repeatable::Repeatable(const Graph& graph, Recompute mode, bool random)
    : memory_(shared_memory(graph)), uncut_(graph.nodes.size() + 1, false) {
  trace(graph);
  for (const Node& node : graph.nodes) {
    nodes_.push_back(operator_is_repeatable(node, mode, random) && !reads_changed_state(node));
  }
  exclude_readers_of_what_changes();
  for (const auto& [name, life] : lives_) {
    if (life.written == 0 || life.made == 0 || !nodes_[life.made - 1]) continue;
    std::fill(uncut_.begin() + static_cast<std::ptrdiff_t>(life.made),
              uncut_.begin() + static_cast<std::ptrdiff_t>(life.written), true);
  }
}

void Repeatable::trace(const Graph& graph) {
  for (const GraphInput& input : graph.inputs) {
    if (input.kind != InputKind::kUserInput) lives_[memory(input.value)].state = true;
  }
  std::set<std::string> given;  // memory that is not the program's to make
  for (const GraphInput& input : graph.inputs) given.insert(memory(input.value));
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (const std::string& result : node.results()) {
      Life& life = lives_[memory(result)];
      if (life.made == 0 && !given.contains(memory(result))) life.made = i + 1;
      life.touching.push_back(i + 1);
    }
    for (const std::string& read : node.tensors()) lives_[memory(read)].touching.push_back(i + 1);
    if (node.in_place()) lives_[memory(node.tensor("self"))].written = i + 1;
    const std::optional<BatchStatistics> statistics = batch_statistics(node);
    if (!statistics || !statistics->running) continue;
    for (const char* argument : {"running_mean", "running_var"}) running_[memory(node.tensor(argument))] = true;
  }
}

// Its own running statistics a node writes and does not read: while they are updated, it normalizes by its batch's.
bool Repeatable::reads_changed_state(const Node& node) const {
  const std::optional<BatchStatistics> statistics = batch_statistics(node);
  return std::ranges::any_of(node.inputs, [&](const NamedArgument& input) {
    if (statistics && (input.name == "running_mean" || input.name == "running_var")) return false;
    Node alone;
    alone.inputs = {input};
    return std::ranges::any_of(alone.tensors(), [&](const std::string& read) {
      const Life& life = lives_.at(memory(read));
      return running_.contains(memory(read)) || (life.state && life.written > 0);
    });
  });
}

// Of memory that is written into all nodes that touch it until then are repeated, or none is.
void Repeatable::exclude_readers_of_what_changes() {
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& [name, life] : lives_) {
      if (life.written == 0) continue;
      const auto end = std::ranges::upper_bound(life.touching, life.written);
      const auto repeated = [this](std::size_t node) { return static_cast<bool>(nodes_[node - 1]); };
      if (life.made > 0 && std::all_of(life.touching.begin(), end, repeated)) continue;
      for (auto node = life.touching.begin(); node != end; ++node) {
        changed |= repeated(*node);
        nodes_[*node - 1] = false;
      }
    }
  }
}

}  // namespace lockstep
