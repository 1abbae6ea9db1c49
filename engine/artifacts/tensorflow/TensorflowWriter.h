// From primitive operations to a TensorFlow function.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveGraph.h"
#include "engine/artifacts/tensorflow/TensorflowBuilder.h"
#include "engine/artifacts/tensorflow/TensorflowFunction.h"
#include "engine/program/Graph.h"

namespace lockstep {

/// A function, and for each of its variables how the program's tensor is laid out in it.
struct WrittenFunction {
  TensorflowFunction function;
  std::vector<Ints> variable_axes;         ///< the variable's dimension i is the tensor's dimension axes[i]
  std::vector<std::size_t> output_places;  ///< of each output of the program, among the function's
};

/// What the outputs of a function are called: as the program calls them, in small letters, digits and underscores, each
/// name once. In the program's order.
std::vector<std::string> tensorflow_output_names(const std::vector<std::string>& names);

/// Writes the nodes of a graph one after another, and knows which value of the function each of the graph's has become.
class TensorflowWriter {
 public:
  /// Writes the whole graph. `program` is what it comes from, for messages. Throws InputError, naming the program's
  /// operator and source line, for what TensorFlow cannot hold.
  static WrittenFunction write(const PrimitiveGraph& graph, const Graph& program);

  const PrimitiveGraph& graph() const { return graph_; }
  TensorflowBuilder& builder() { return builder_; }
  /// A value of the graph in the order that it has; state that nothing has read yet, in the program's.
  TensorflowValue value(ValueId id) { return value(id, nullptr); }
  /// In this order: state that nothing has read yet is stored so.
  TensorflowValue value(ValueId id, const Ints& axes) { return builder_.arranged(value(id, &axes), axes); }
  void bind(ValueId id, TensorflowValue value);
  /// The node that makes a value, or nullptr for inputs and state.
  const PrimitiveNode* producer(ValueId id) const;
  /// Ends the writing: this node cannot be written, because `why`.
  [[noreturn]] void refuse(const PrimitiveNode& node, const std::string& why) const;

 private:
  TensorflowWriter(const PrimitiveGraph& graph, const Graph& program);
  void write_inputs();
  void write_outputs();
  void remove_unused();
  TensorflowValue value(ValueId id, const Ints* axes);
  TensorflowValue variable(const PrimitiveState& state, const Ints& axes);

  const PrimitiveGraph& graph_;
  const Graph& program_;
  WrittenFunction result_;
  TensorflowBuilder builder_{result_.function};
  std::map<ValueId, TensorflowValue> values_;
  std::map<ValueId, const PrimitiveState*> state_;
  std::map<ValueId, const PrimitiveNode*> producers_;  // by their outputs
};

}  // namespace lockstep
