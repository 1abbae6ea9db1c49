// A serving function in TensorFlow's terms, as values: no protobuf, no torch. TensorflowWriter makes one from a graph
// of primitive operations, SavedModel writes and reads it, TensorflowInterpreter runs it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/artifacts/TensorView.h"

namespace lockstep {

/// The value of a Const node.
struct TensorflowConstant {
  ElementType type = ElementType::kInt32;
  std::vector<std::int64_t> sizes;
  std::string bytes;  ///< row-major, little-endian
  bool operator==(const TensorflowConstant&) const = default;
};

using TensorflowAttribute =
    std::variant<bool, float, std::int64_t, std::string, ElementType, std::vector<std::int64_t>, TensorflowConstant>;
using TensorflowAttributes = std::map<std::string, TensorflowAttribute>;

/// One call of a TensorFlow operator.
struct TensorflowNode {
  std::string name;
  std::string op;
  std::vector<std::string> inputs;  ///< `argument`, or `node:output:0` with the operator's own name for its output
  TensorflowAttributes attributes;
  bool operator==(const TensorflowNode&) const = default;
};

/// An input or output of the function.
struct TensorflowTensor {
  std::string name;  ///< what callers say: `x`, `output_0`
  ElementType type = ElementType::kFloat;
  std::vector<std::int64_t> sizes;  ///< -1: known at run time
  std::string reference;            ///< the argument's name, or what the function returns
  bool operator==(const TensorflowTensor&) const = default;
};

struct TensorflowVariable {
  std::vector<std::string> names;  ///< dotted; more than one when parameters are tied
  ElementType type = ElementType::kFloat;
  std::vector<std::int64_t> sizes;
  bool trainable = true;
  std::string argument;  ///< the function's argument that carries its handle
  bool operator==(const TensorflowVariable&) const = default;
};

/// What an encoded image becomes: bytes of [height, width, channels].
struct TensorflowDecoding {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 3;  ///< 3, or 1: grey
  bool stretch = false;       ///< the whole image; else the largest part of these proportions, from its middle
  bool operator==(const TensorflowDecoding&) const = default;
};

/// That a function says of what class its input is: what its SavedModel serves beside what the function returns.
struct TensorflowClasses {
  std::vector<std::string> labels{};  ///< what classes are called, one for each; empty: nobody knows
  /// The output [batch, classes] that holds scores, of which a signature of its own makes probabilities and a label;
  /// "": the function returns `probabilities` and `label`.
  std::string scores{};
  /// The function's only input is bytes of such images; the default signature takes encoded ones. Without `scores`.
  std::optional<TensorflowDecoding> decoding{};
  bool operator==(const TensorflowClasses&) const = default;
};

/// Arguments are the inputs, in the order of their names, and then the variables' handles.
struct TensorflowFunction {
  std::vector<TensorflowTensor> inputs;
  std::vector<TensorflowVariable> variables;
  std::vector<TensorflowNode> nodes;  ///< every node after those it reads
  std::vector<TensorflowTensor> outputs;
  bool labels = false;  ///< what classes are called lies beside it, in a file
  std::optional<TensorflowClasses> classes{};
  bool operator==(const TensorflowFunction&) const = default;
};

/// The name of an operator's (first) output: `product` for MatMul. Throws InternalError for an operator that has no row
/// in TensorflowOperators.
const std::string& output_name(const std::string& op);

/// Runs of dimensions in which AddV2, Mul and Sub broadcast alike: neither side, the first or the second. Dimensions
/// that are 1 on both sides do not count; -1 is a size other than 1. Source: tensorflow/core/util/bcast.h.
int broadcast_runs(const std::vector<std::int64_t>& first, const std::vector<std::int64_t>& second);
/// TensorFlow has no kernel for more.
inline constexpr int kMaxBroadcastRuns = 5;

}  // namespace lockstep
