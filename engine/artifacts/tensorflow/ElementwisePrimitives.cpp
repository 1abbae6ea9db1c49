#include <map>
#include <numbers>
#include <string>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowPrimitives.h"
#include "engine/artifacts/tensorflow/TensorflowShapes.h"

namespace lockstep {

namespace {

using UnaryKind = primitive::Unary::Kind;
using BinaryKind = primitive::Binary::Kind;

std::string unary_operator(UnaryKind kind) {
  static const std::map<UnaryKind, std::string> names = {
      {UnaryKind::kNegative, "Neg"},      {UnaryKind::kAbsolute, "Abs"},
      {UnaryKind::kSign, "Sign"},         {UnaryKind::kReciprocal, "Reciprocal"},
      {UnaryKind::kExp, "Exp"},           {UnaryKind::kLog, "Log"},
      {UnaryKind::kSqrt, "Sqrt"},         {UnaryKind::kRsqrt, "Rsqrt"},
      {UnaryKind::kSin, "Sin"},           {UnaryKind::kCos, "Cos"},
      {UnaryKind::kErf, "Erf"},           {UnaryKind::kTanh, "Tanh"},
      {UnaryKind::kSigmoid, "Sigmoid"},   {UnaryKind::kRelu, "Relu"},
      {UnaryKind::kSoftplus, "Softplus"}, {UnaryKind::kFloor, "Floor"},
      {UnaryKind::kCeil, "Ceil"},         {UnaryKind::kRound, "Rint"},
      {UnaryKind::kNot, "LogicalNot"},    {UnaryKind::kIsNan, "IsNan"}};
  return names.at(kind);
}

std::string binary_operator(BinaryKind kind) {
  static const std::map<BinaryKind, std::string> names = {
      {BinaryKind::kAdd, "AddV2"},          {BinaryKind::kSubtract, "Sub"},    {BinaryKind::kMultiply, "Mul"},
      {BinaryKind::kPower, "Pow"},          {BinaryKind::kDivide, "RealDiv"},  {BinaryKind::kFloorDivide, "FloorDiv"},
      {BinaryKind::kRemainder, "FloorMod"}, {BinaryKind::kMaximum, "Maximum"}, {BinaryKind::kMinimum, "Minimum"},
      {BinaryKind::kEqual, "Equal"},        {BinaryKind::kLess, "Less"},       {BinaryKind::kLessEqual, "LessEqual"},
      {BinaryKind::kAnd, "LogicalAnd"},     {BinaryKind::kOr, "LogicalOr"}};
  return names.at(kind);
}

void require_broadcast(PrimitiveCall& call, const AlignedValues& operands) {
  if (broadcast_runs(known_sizes(operands.values.at(0).sizes), known_sizes(operands.values.at(1).sizes)) >
      kMaxBroadcastRuns) {
    call.refuse("TensorFlow does not broadcast tensors whose dimensions alternate so often");
  }
}

}  // namespace

void write_primitive(PrimitiveCall& call, const primitive::Unary& operation) {
  const TensorflowValue x = call.input(0);
  const std::string op = unary_operator(operation.kind);
  call.bind(operation.kind == UnaryKind::kNot ? call.builder().add_plain(op, {x}) : call.builder().add(op, {x}));
}

void write_primitive(PrimitiveCall& call, const primitive::Binary& operation) {
  TensorflowBuilder& builder = call.builder();
  const AlignedValues operands = aligned(builder, {call.input(0), call.input(1)});
  require_broadcast(call, operands);
  const std::string op = binary_operator(operation.kind);
  const bool logical = operation.kind == BinaryKind::kAnd || operation.kind == BinaryKind::kOr;
  TensorflowValue result = logical ? builder.add_plain(op, operands.values)
                           : operation.kind == BinaryKind::kEqual
                               ? builder.add(op, operands.values, {{"incompatible_shape_error", true}})
                               : builder.add(op, operands.values);
  result.axes = operands.axes;
  call.bind(std::move(result));
}

void write_primitive(PrimitiveCall& call, const primitive::Select&) {
  TensorflowBuilder& builder = call.builder();
  const AlignedValues operands = aligned(builder, {call.input(0), call.input(1), call.input(2)});
  TensorflowValue result = builder.add_plain("SelectV2", operands.values, {{"T", call.out().type}});
  result.axes = operands.axes;
  call.bind(std::move(result));
}

void write_primitive(PrimitiveCall& call, const primitive::Cast& operation) {
  call.bind(call.builder().cast(call.input(0), operation.type));
}

// x · ½ (1 + erf(x · √½)) in the form in which TensorFlow's own optimizer knows it.
void write_primitive(PrimitiveCall& call, const primitive::Gelu& operation) {
  TensorflowBuilder& builder = call.builder();
  const TensorflowValue x = call.input(0);
  const auto number = [&](double value) { return builder.constant(value, x.type); };
  TensorflowValue inner;
  if (operation.tanh) {
    // √(2/π) (x + 0.044715 x³)
    const TensorflowValue cube = builder.add("Mul", {builder.add("Mul", {x, x}), x});
    const TensorflowValue sum = builder.add("AddV2", {x, builder.add("Mul", {cube, number(0.044715)})});
    inner = builder.add("Tanh", {builder.add("Mul", {sum, number(std::numbers::sqrt2 * std::numbers::inv_sqrtpi)})});
  } else {
    inner = builder.add("Erf", {builder.add("Mul", {x, number(std::numbers::sqrt2 / 2)})});
  }
  const TensorflowValue half = builder.add("Mul", {builder.add("AddV2", {inner, number(1)}), number(0.5)});
  call.bind(builder.add("Mul", {half, x}));
}

}  // namespace lockstep
