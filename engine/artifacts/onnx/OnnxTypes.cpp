#include "engine/artifacts/onnx/OnnxTypes.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "common/Error.h"

namespace lockstep {

namespace {

const std::map<ElementType, onnx::TensorProto::DataType>& onnx_types() {
  using onnx::TensorProto;
  static const std::map<ElementType, TensorProto::DataType> table = {
      {ElementType::kUint8, TensorProto::UINT8},   {ElementType::kInt8, TensorProto::INT8},
      {ElementType::kInt16, TensorProto::INT16},   {ElementType::kInt32, TensorProto::INT32},
      {ElementType::kInt64, TensorProto::INT64},   {ElementType::kHalf, TensorProto::FLOAT16},
      {ElementType::kFloat, TensorProto::FLOAT},   {ElementType::kDouble, TensorProto::DOUBLE},
      {ElementType::kBool, TensorProto::BOOL},     {ElementType::kBFloat16, TensorProto::BFLOAT16},
      {ElementType::kUint16, TensorProto::UINT16}, {ElementType::kUint32, TensorProto::UINT32},
      {ElementType::kUint64, TensorProto::UINT64}};
  return table;
}

using Types = std::vector<ElementType>;

// What the kernels for CPUs of ONNX Runtime 1.19 take, as far as it matters: found by loading a model of each operator
// and type. It brings kernels for float16 by converting itself.
const Types& kernel_types(std::string_view op) {
  using enum ElementType;
  static const Types single = {kFloat, kHalf};
  static const Types real = {kFloat, kHalf, kDouble};
  static const Types numbers = {kFloat, kHalf, kDouble, kInt64, kInt32};
  static const Types numbers_and_bool = {kFloat, kHalf, kDouble, kInt64, kInt32, kBool};
  static const Types bools = {kBool};
  static const std::map<std::string_view, Types> table = {
      {"Abs", numbers},
      {"Add", numbers},
      {"And", bools},
      {"ArgMax", {kFloat, kHalf, kDouble, kInt32}},
      {"ArgMin", {kFloat, kHalf, kDouble, kInt32}},
      {"AveragePool", single},
      {"BatchNormalization", real},
      {"Ceil", real},
      {"Clip", numbers},
      {"Conv", single},
      {"ConvTranspose", single},
      {"Cos", single},
      {"CumSum", numbers},
      {"Div", numbers},
      {"Equal", numbers_and_bool},
      {"Erf", single},
      {"Exp", real},
      {"Expand", {kFloat, kHalf, kDouble, kInt64, kInt32, kInt16, kInt8, kUint8, kBool}},
      {"Floor", real},
      {"GRU", real},
      {"Gelu", single},
      {"Gemm", real},
      {"GlobalAveragePool", single},
      {"HardSigmoid", single},
      {"IsNaN", real},
      {"LSTM", real},
      {"LayerNormalization", real},
      {"Less", numbers},
      {"LessOrEqual", numbers},
      {"Log", real},
      {"LogSoftmax", real},
      {"MatMul", numbers},
      {"Max", numbers},
      {"MaxPool", real},
      {"Min", numbers},
      {"Mod", numbers},
      {"Mul", numbers},
      {"Neg", numbers},
      {"Not", bools},
      {"Or", bools},
      {"Pad", {kFloat, kDouble, kInt64, kInt32, kBool}},  // its value is no constant in float16
      {"Pow", numbers},
      {"Reciprocal", real},
      {"ReduceMax", numbers_and_bool},
      {"ReduceMean", real},
      {"ReduceMin", numbers_and_bool},
      {"ReduceProd", {kFloat, kHalf, kInt64, kInt32}},
      {"ReduceSum", numbers},
      {"Relu", real},
      {"Resize", single},
      {"Round", real},
      {"Sigmoid", real},
      {"Sign", numbers},
      {"Sin", real},
      {"Softmax", real},
      {"Softplus", single},
      {"Sqrt", real},
      {"Sub", numbers},
      {"Tanh", real},
      {"TopK", numbers},
      {"Where", {kFloat, kHalf, kDouble, kInt64, kInt32, kUint8}}};
  static const Types all;
  const auto found = table.find(op);
  return found == table.end() ? all : found->second;
}

// From the type itself to those that come ever less near to it.
Types ladder(ElementType type) {
  using enum ElementType;
  if (is_real(type)) return {type, kFloat};
  if (type == kBool) return {type, kUint8, kInt32};
  if (size_of(type) < size_of(kInt32)) return {type, kInt32, kFloat};
  return {type, kInt64, kDouble, kFloat};
}

}  // namespace

onnx::TensorProto::DataType to_onnx(ElementType type) { return onnx_types().at(type); }

ElementType from_onnx(int type) {
  for (const auto& [ours, theirs] : onnx_types()) {
    if (theirs == type) return ours;
  }
  throw InputError("ONNX's data type " + std::to_string(type) + " is none that Lockstep writes");
}

ElementType kernel_type(std::string_view op, ElementType type) {
  const Types& types = kernel_types(op);
  if (types.empty()) return type;
  for (const ElementType candidate : ladder(type)) {
    if (std::ranges::find(types, candidate) != types.end()) return candidate;
  }
  throw InputError("ONNX Runtime has no " + std::string(op) + " of " + to_string(type));
}

}  // namespace lockstep
