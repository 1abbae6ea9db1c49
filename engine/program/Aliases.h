// Which names of a graph may be names of the same memory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// Whether what the node returns may lie in the memory of what it reads. So it is for every operator that is not known
/// to make new tensors: schemas do not say it of all (meshgrid, unsafe_split).
bool may_share_memory(const Node& node);

/// By value: one of all that may share its memory, the same one for all of these. What may share memory counts as
/// sharing it.
std::map<std::string, std::string> shared_memory(const Graph& graph);

/// A node in place that writes into memory which is read later under another name than the node's own two (what it
/// writes into and what it returns). Whoever computes with values in place of memory must not lose such a write.
struct AliasedWrite {
  const Node* node = nullptr;
  std::string name;  ///< what is read later; parameters, buffers and constants are, by the next run
  /// Whether the two share memory only because of how values lie in it, as far as is known: flatten copies where it
  /// cannot make a view.
  bool depends_on_strides = false;
};

/// In the order of the nodes, with their addresses in `graph`. What may share memory counts as sharing it.
std::vector<AliasedWrite> aliased_writes(const Graph& graph);

}  // namespace lockstep
