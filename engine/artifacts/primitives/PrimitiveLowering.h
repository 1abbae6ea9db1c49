// From a graph of ATen operators to primitives.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveTerm.h"
#include "engine/program/Graph.h"

namespace lockstep {

/// Two names of one tensor (tied parameters): name → the name that stands for both.
using TiedNames = std::map<std::string, std::string>;

/// The graph, which is in its inference form, as primitives. Throws InputError, naming operator and source line, for an
/// operator that primitives do not express, and for a write in place that is read under another name which primitives
/// cannot follow. Its text ends with the reason; whoever wants an artifact says of which format, and what to do.
PrimitiveGraph lower_to_primitives(const Graph& graph, const TiedNames& tied = {});

/// The lowering under way: what the program's names stand for so far.
///
/// A write in place makes a new value of its name. Where the name is a view of another tensor, that tensor gets a new
/// value too, with the view's elements in their places, and other views of it are made anew when they are read.
class PrimitiveLowering {
 public:
  PrimitiveLowering(const Graph& graph, const TiedNames& tied);
  void lower_inputs();
  void lower_nodes();
  void lower_outputs();
  PrimitiveGraph finish() && { return std::move(builder_).finish(); }

  const Graph& graph() const { return graph_; }
  PrimitiveBuilder& builder() { return builder_; }
  /// The tensor of this name, for `reader`.
  Term tensor(const Node& reader, const std::string& name);
  /// The integer of this name, for `reader`.
  Integer integer(const Node& reader, const std::string& name) const;
  [[noreturn]] static void refuse(const Node& node, const std::string& why);

 private:
  struct View {
    const Node* node;  ///< that made it
    std::string parent;
  };
  void lower(const Node& node);
  std::vector<Term> compute(const Node& node);
  bool lower_integer(const Node& node);
  Term state(const GraphInput& input);
  Term stated(const std::string& name, Term term);
  void bind(const Node& node, const std::vector<Term>& terms);
  void write(const Node& node, const std::string& name, const Term& term);
  void note_view(const Node& node);
  std::string root(std::string name) const;

  const Graph& graph_;
  const TiedNames& tied_;
  PrimitiveBuilder builder_;
  std::map<std::string, Term> values_;
  std::map<std::string, Integer> integers_;
  std::map<std::string, const GraphInput*> state_inputs_;  // by the name of their value
  std::map<std::string, ValueId> states_;                  // by state name
  std::map<std::string, View> views_;
  std::set<std::string> stale_;                       // views of what was written since
  std::map<const Node*, std::string> shared_writes_;  // by nodes in place: under which other name they are read
};

}  // namespace lockstep
