// Makes a PrimitiveGraph node by node.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveGraph.h"

namespace lockstep {

/// Holds the graph so far. Every node's outputs get the types and sizes that follow from its inputs. Equal constants
/// are one value, and so are equal sizes: `size` asks for a size at run time only where it is not known, and only once
/// for each name.
class PrimitiveBuilder {
 public:
  /// Names that this makes up for sizes are none of `other`'s, whose values it may be given again.
  explicit PrimitiveBuilder(const PrimitiveGraph& other = {});

  ValueId input(const std::string& name, PrimitiveValue value);
  ValueId state(std::vector<std::string> names, PrimitiveValue value, bool trainable);
  void output(const std::string& name, ValueId value);
  /// Nodes that are added from now on come from this node of the program.
  void set_origin(std::size_t node) { origin_ = node; }

  /// A node, unless there is the same one already; returns its outputs. Throws InternalError for inputs that the
  /// operation does not take.
  std::vector<ValueId> add(primitive::Operation operation, std::vector<ValueId> inputs);
  ValueId constant(primitive::Constant constant);

  const PrimitiveValue& value(ValueId id) const { return graph_.values.at(id.index); }
  /// The node that makes a value, or nullptr for one that the graph is given. Valid until the next node.
  const PrimitiveNode* maker(ValueId id) const;
  /// The elements of a constant of type int64.
  std::optional<Ints> known_integers(ValueId id) const;
  /// The size of a dimension; throws std::out_of_range for one that the value does not have.
  Integer size(ValueId id, std::size_t dim);
  /// What is known of an integer: the number, or the name of what is computed.
  Dimension dimension(const Integer& integer);
  /// An integer as an int64 scalar.
  ValueId scalar(const Integer& integer);
  /// The program says that these are the value's sizes. What is computed stands where it is a number.
  void refine(ValueId id, const std::vector<Dimension>& stated);

  /// The graph, without what no output needs; inputs stay.
  PrimitiveGraph finish() &&;

 private:
  std::string fresh_name();
  ValueId new_value(PrimitiveValue value);

  PrimitiveGraph graph_;
  std::size_t origin_ = 0;
  std::map<ValueId, std::vector<std::size_t>> readers_;  ///< nodes by their first input
  std::map<ValueId, std::size_t> makers_;                ///< value → node
  std::size_t fresh_ = 0;                                ///< the number of the next name that is made up
  std::map<std::string, ValueId> sizes_;                 ///< scalars by the names of sizes
  std::map<ValueId, std::string> names_;                 ///< the other way round
  std::map<std::tuple<ElementType, Ints, std::string>, ValueId> constants_;  ///< small ones
};

/// The integers that an operation is told, which it reads beside its inputs.
Integers integers_of(const primitive::Operation& operation);

/// The graph without the nodes and the state that none of its outputs needs.
PrimitiveGraph without_unused(PrimitiveGraph graph);

}  // namespace lockstep
