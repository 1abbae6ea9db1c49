// Builds a TensorFlow function node by node.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "engine/artifacts/tensorflow/TensorflowFunction.h"
#include "engine/artifacts/tensorflow/TensorflowValue.h"

namespace lockstep {

/// A number known beforehand, or an int64 scalar that the function computes.
using TensorflowInteger = std::variant<std::int64_t, TensorflowValue>;

/// Holds the function so far. Equal constants are one node, and so are equal orders of one tensor.
class TensorflowBuilder {
 public:
  /// Appends to the function, which must outlive the builder.
  explicit TensorflowBuilder(TensorflowFunction& function) : function_(function) {}
  TensorflowBuilder(const TensorflowBuilder&) = delete;
  TensorflowBuilder& operator=(const TensorflowBuilder&) = delete;

  /// The first output of a new node. It has the type, sizes and order of the first input; the attribute `T` is set to
  /// that type. Where TensorFlow has no kernel for it, the inputs of that type are converted, and the output back.
  /// `result`: the output is of this type, whatever T is. Throws TensorflowRefusal.
  TensorflowValue add(const std::string& op, const std::vector<TensorflowValue>& inputs,
                      TensorflowAttributes attributes = {}, std::optional<ElementType> result = {});
  /// The same for an operator whose `T` is not the type of its first input.
  TensorflowValue add_of(ElementType type, const std::string& op, std::vector<TensorflowValue> inputs,
                         TensorflowAttributes attributes = {}, std::optional<ElementType> result = {});
  /// The same for an operator that has no attribute `T`, or has it for all types.
  TensorflowValue add_plain(const std::string& op, const std::vector<TensorflowValue>& inputs,
                            TensorflowAttributes attributes = {});
  /// Another output of the node whose first output this is.
  TensorflowValue output(const TensorflowValue& first, const std::string& name, std::size_t index = 0) const;

  TensorflowValue constant(TensorflowConstant value);
  /// Integers, of 32 bits where that is enough: a vector, or of other sizes.
  TensorflowValue constant(const Ints& values);
  TensorflowValue constant(const Ints& values, const Ints& sizes);
  TensorflowValue constant(double number, ElementType type);  ///< a scalar
  TensorflowValue constant(const std::vector<double>& numbers, ElementType type, const Ints& sizes);
  TensorflowValue cast(const TensorflowValue& value, ElementType type);

  /// The same elements under other sizes, which are in the order of TensorFlow's tensors. Where more than one size is
  /// not known, `computed` gives that of a dimension.
  TensorflowValue reshaped(const TensorflowValue& value, const std::vector<Dimension>& sizes,
                           const std::function<TensorflowInteger(std::size_t)>& computed = {});
  /// The value with the program's dimensions in this order.
  TensorflowValue arranged(const TensorflowValue& value, const Ints& axes);
  TensorflowValue row_major(const TensorflowValue& value) { return arranged(value, in_order(value.rank())); }
  /// Of a dimension of TensorFlow's tensor.
  TensorflowInteger size(const TensorflowValue& value, std::size_t place);
  TensorflowValue scalar(const TensorflowInteger& number);  ///< int64
  /// Numbers as a vector: a constant, or packed from int64 scalars.
  TensorflowValue packed(const std::vector<TensorflowInteger>& numbers);

  /// The name, or one like it, that no argument and no node has yet.
  std::string unique(const std::string& name);

 private:
  TensorflowFunction& function_;
  std::set<std::string> names_;                                          // of arguments and nodes
  std::map<std::string, TensorflowValue> shapes_;                        // by the reference of what has them
  std::map<std::pair<std::string, std::string>, std::string> reshaped_;  // references, by those before and of the sizes
  std::map<std::pair<std::string, Ints>, std::string> arranged_;  // references, by those before and the permutation
  std::map<std::tuple<ElementType, Ints, std::string>, std::string> constants_;  // references
};

}  // namespace lockstep
