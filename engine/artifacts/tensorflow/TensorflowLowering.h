// From a graph of ATen operators to a TensorFlow function.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/artifacts/tensorflow/TensorflowFunction.h"
#include "engine/program/Graph.h"

namespace lockstep {

/// A function, and for each of its variables how the program's tensor is laid out in it.
struct LoweredFunction {
  TensorflowFunction function;
  std::vector<std::vector<std::int64_t>>
      variable_axes;                       ///< the variable's dimension i is the tensor's dimension axes[i]
  std::vector<std::size_t> output_places;  ///< of each output of the program, among the function's
};

/// Two names of one tensor (tied parameters): name → the name that stands for both.
using TiedNames = std::map<std::string, std::string>;

/// Builds the function node by node; the rows of TensorflowOperators call it.
///
/// TensorFlow's CPU kernels want images as NHWC, programs have them as NCHW. So a value remembers which of the two its
/// TensorFlow tensor has, operators that do not care pass that on, and a Transpose is written only where an operator
/// needs the other order. Sizes are always those that the program knows, in its own order.
class TensorflowLowering {
 public:
  using Ints = std::vector<std::int64_t>;
  struct Value {
    std::string reference;
    ElementType type = ElementType::kFloat;
    std::vector<Dimension> sizes;
    bool channels_last = false;
    /// It comes out of a grouped convolution, whose fusion with BiasAdd or FusedBatchNormV3, which TensorFlow does on
    /// its own, has no kernel without oneDNN. Reshape and Transpose do not hinder it: they may be taken out.
    bool grouped = false;
  };

  /// Lowers the whole graph, which is in its inference form. Throws InputError, naming operator and source line, for
  /// what a SavedModel cannot hold.
  static LoweredFunction lower(const Graph& graph, const TiedNames& tied = {});

  // For rows: reading a node's arguments.

  /// The tensor in an argument, or nothing when the node gives none.
  std::optional<Value> find(const Node& node, std::string_view argument);
  Value tensor(const Node& node, std::string_view argument);
  /// A tensor that is used in another order of dimensions: state is stored so, anything else is transposed.
  Value permuted(const Node& node, std::string_view argument, const Ints& axes);
  /// Integers; one number stands for two. Absent or empty: `otherwise`.
  Ints pair(const Node& node, std::string_view argument, const Ints& otherwise) const;
  Ints ints(const Node& node, std::string_view argument) const;
  double number(const Node& node, std::string_view argument, double otherwise) const;
  bool flag(const Node& node, std::string_view argument, bool otherwise) const;
  std::vector<Dimension> output_sizes(const Node& node) const;
  /// Ends the lowering: this operator cannot be written, because `why`.
  [[noreturn]] void refuse(const Node& node, const std::string& why) const;

  // For rows: adding nodes.

  Value row_major(Value value) { return reordered(std::move(value), false); }
  Value channels_last(Value value) { return reordered(std::move(value), true); }  ///< an image
  /// The output of a new node. It has the type, sizes and order of the first input; `T` is set to that type.
  Value add(const std::string& op, const std::vector<Value>& inputs, TensorflowAttributes attributes = {});
  /// The sum of two tensors as PyTorch broadcasts them.
  Value sum(const Node& node, Value a, Value b);
  Value constant(const Ints& values, Ints sizes);  ///< 32-bit integers
  Value constant(double value, ElementType type);  ///< a scalar, float or double
  /// The same elements in row-major order under other sizes, at most one of them not known.
  Value reshape(const Node& node, const Value& value, const std::vector<Dimension>& sizes);
  /// Binds a node's output, and for an operator in place also what it changed.
  void bind(const Node& node, Value value);

 private:
  TensorflowLowering(const Graph& graph, const TiedNames& tied) : graph_(graph), tied_(tied) {}
  void lower_inputs();
  void lower_outputs();
  Value state(const GraphInput& input, const Ints& axes);
  Value reordered(Value value, bool channels_last);
  Value transpose(const Value& value, const Ints& axes);
  Value reshape_to(const Value& value, const Ints& sizes);
  Value constant(const TensorflowConstant& value);
  ElementType element_type(const std::string& value) const;
  std::string unique(const std::string& name);

  const Graph& graph_;
  const TiedNames& tied_;
  LoweredFunction result_;
  std::map<std::string, Value> values_;                      // of the graph, by name
  std::map<std::string, const GraphInput*> state_inputs_;    // by the name of their value
  std::map<std::string, std::pair<Value, Ints>> variables_;  // by state name: as read, and its axes
  std::set<std::string> names_;                              // of arguments and nodes
};

}  // namespace lockstep
