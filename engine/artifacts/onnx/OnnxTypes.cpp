#include "engine/artifacts/onnx/OnnxTypes.h"

#include <algorithm>
#include <initializer_list>
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
std::map<std::string_view, Types> onnx_kernels() {
  using enum ElementType;
  const Types single = {kFloat, kHalf};
  const Types real = {kFloat, kHalf, kDouble};
  const Types numbers = {kFloat, kHalf, kDouble, kInt64, kInt32};
  const Types numbers_and_bool = {kFloat, kHalf, kDouble, kInt64, kInt32, kBool};
  std::map<std::string_view, Types> table;
  const auto have = [&](const Types& types, std::initializer_list<std::string_view> ops) {
    for (const std::string_view op : ops) table.emplace(op, types);
  };
  have(numbers, {"Abs", "Add", "Clip", "CumSum", "Div", "Less", "LessOrEqual", "MatMul", "Max", "Min", "Mod", "Mul",
                 "Neg", "Pow", "ReduceSum", "Sign", "Sub", "TopK"});
  have({kBool}, {"And", "Not", "Or"});
  have({kFloat, kHalf, kDouble, kInt32}, {"ArgMax", "ArgMin"});
  have(single, {"AveragePool", "Conv", "ConvTranspose", "Cos", "Erf", "Gelu", "GlobalAveragePool", "HardSigmoid",
                "Resize", "Softplus"});
  have(real, {"BatchNormalization",
              "Ceil",
              "Exp",
              "Floor",
              "GRU",
              "Gemm",
              "IsNaN",
              "LSTM",
              "LayerNormalization",
              "Log",
              "LogSoftmax",
              "MaxPool",
              "Reciprocal",
              "ReduceMean",
              "Relu",
              "Round",
              "Sigmoid",
              "Sin",
              "Softmax",
              "Sqrt",
              "Tanh"});
  have(numbers_and_bool, {"Equal", "ReduceMax", "ReduceMin"});
  have({kFloat, kHalf, kDouble, kInt64, kInt32, kInt16, kInt8, kUint8, kBool}, {"Expand"});
  have({kFloat, kDouble, kInt64, kInt32, kBool}, {"Pad"});  // its value is no constant in float16
  have({kFloat, kHalf, kInt64, kInt32}, {"ReduceProd"});
  have({kFloat, kHalf, kDouble, kInt64, kInt32, kUint8}, {"Where"});
  return table;
}

const Types& kernel_types(std::string_view op) {
  static const std::map<std::string_view, Types> table = onnx_kernels();
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
