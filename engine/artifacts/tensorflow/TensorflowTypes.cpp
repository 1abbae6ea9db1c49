#include "engine/artifacts/tensorflow/TensorflowTypes.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <optional>
#include <vector>

namespace lockstep {

namespace {

using Types = std::vector<ElementType>;

Types with_more(Types types, const Types& more) {
  types.insert(types.end(), more.begin(), more.end());
  return types;
}

// What TensorFlow 2.13 and 2.21 define each operator for and also have a kernel for CPUs of: found by asking both for
// their registries. Kernels that round too often are left out.
std::map<std::string_view, Types> tensorflow_kernels() {
  using enum ElementType;
  const Types real = {kBFloat16, kHalf, kFloat, kDouble};
  const Types with_sign = with_more(real, {kInt8, kInt16, kInt32, kInt64});
  const Types numbers = with_more(with_sign, {kUint8, kUint16, kUint32, kUint64});
  std::map<std::string_view, Types> table;
  const auto have = [&](const Types& types, std::initializer_list<std::string_view> ops) {
    for (const std::string_view op : ops) table.emplace(op, types);
  };
  have(numbers, {"AddV2", "BiasAdd", "Cumsum", "FloorDiv", "FloorMod", "Less", "LessEqual", "Max", "Maximum", "Mean",
                 "Min", "Minimum", "Mul", "Prod", "Relu", "Sub", "Sum", "TopKV2"});
  have(with_more(with_sign, {kUint8, kUint16}), {"MaxPool", "ResizeBilinear", "ResizeNearestNeighbor"});
  have(with_sign, {"Abs", "Neg", "Pow", "Sign"});
  have(real, {"AvgPool", "Ceil",
              "Conv3D",  "Conv3DBackpropInputV2",
              "Cos",     "DepthwiseConv2dNative",
              "Erf",     "Exp",
              "Expm1",   "Floor",
              "IsNan",   "Log",
              "Log1p",   "LogSoftmax",
              "RealDiv", "Reciprocal",
              "Relu6",   "Rsqrt",
              "Sigmoid", "Sin",
              "Softmax", "Sqrt",
              "Tanh"});
  have(with_more(real, {kInt32}), {"Conv2D", "Conv2DBackpropInput"});
  have(with_more(real, {kInt16, kInt32, kInt64}), {"BatchMatMulV2"});
  have(with_more(real, {kInt32, kInt64}), {"MatMul", "SquaredDifference"});
  have({kFloat, kDouble}, {"Rint", "Softplus", "TruncateMod"});
  have({kBFloat16, kFloat}, {"AvgPool3D", "MaxPool3D"});
  have({kFloat}, {"BlockLSTMV2", "FusedBatchNormV3"});
  have({kBool}, {"All", "Any", "LogicalAnd", "LogicalNot", "LogicalOr"});
  return table;
}

// The nearest type that holds all values of `type` and has kernels where that has none.
std::optional<ElementType> holder_of(ElementType type) {
  using enum ElementType;
  if (type == kHalf || type == kBFloat16) return kFloat;
  if (type == kBool) return kUint8;
  if (type == kUint32) return kInt64;
  if (is_integer(type) && size_of(type) < size_of(kInt32)) return kInt32;
  return std::nullopt;
}

}  // namespace

bool has_tensorflow_kernel(std::string_view op, ElementType type) {
  static const std::map<std::string_view, Types> table = tensorflow_kernels();
  const auto found = table.find(op);
  return found == table.end() || std::ranges::find(found->second, type) != found->second.end();
}

ElementType tensorflow_kernel_type(std::string_view op, ElementType type) {
  if (has_tensorflow_kernel(op, type)) return type;
  const std::optional<ElementType> holder = holder_of(type);
  if (holder && has_tensorflow_kernel(op, *holder)) return *holder;
  throw TensorflowRefusal("TensorFlow has no " + std::string(op) + " of " + to_string(type));
}

}  // namespace lockstep
