// Which nodes of a graph give the same when they run a second time, later.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "engine/program/Graph.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// A node is repeatable when its operator is, and when what it reads will be what it was: nothing writes into that
/// memory from then on, or only nodes that are repeated with it, from the memory's beginning. All that may share memory
/// counts as sharing it.
class Repeatable {
 public:
  /// kAuto: operators that cost little; kAll: all. `random`: with those that draw.
  Repeatable(const Graph& graph, Recompute mode, bool random);

  bool node(std::size_t index) const { return nodes_[index]; }
  /// Whether the nodes before this one and those from it on can be repeated apart from each other.
  bool may_cut(std::size_t index) const { return !uncut_[index]; }
  /// A name for all that may share memory with the value.
  const std::string& memory(const std::string& value) const { return memory_.at(value); }

 private:
  /// What becomes of memory. Nodes are counted from 1; 0 is before the first.
  struct Life {
    bool state = false;
    std::size_t made = 0;
    std::size_t written = 0;            ///< by the last node that writes into it in place; 0: none does
    std::vector<std::size_t> touching;  ///< nodes that make, read or write it, in order
  };

  void trace(const Graph& graph);
  bool reads_changed_state(const Node& node) const;
  void exclude_readers_of_what_changes();

  std::map<std::string, std::string> memory_;
  std::map<std::string, Life> lives_;    // by memory
  std::map<std::string, bool> running_;  // memory of running statistics that nodes update
  std::vector<bool> nodes_;
  std::vector<bool> uncut_;
};

}  // namespace lockstep
