#include <cstring>
#include <map>
#include <optional>
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
      {UnaryKind::kExpm1, "Expm1"},       {UnaryKind::kLog1p, "Log1p"},
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

// FloorDiv rounds the quotient of floating-point numbers before it takes the floor; without a rest it is exact.
TensorflowValue floor_divided(TensorflowBuilder& builder, const std::vector<TensorflowValue>& operands) {
  const TensorflowValue& a = operands.at(0);
  const TensorflowValue& b = operands.at(1);
  const TensorflowValue zero = builder.constant(0, a.type);
  const TensorflowValue rest = builder.add("TruncateMod", {a, b});
  const TensorflowValue exact = builder.add("RealDiv", {builder.add("Sub", {a, rest}), b});
  const TensorflowValue signs = builder.add("Mul", {builder.add("Sign", {rest}), builder.add("Sign", {b})});
  const TensorflowValue differ = builder.add("Less", {signs, zero}, {}, ElementType::kBool);
  const TensorflowValue below = builder.add("Sub", {exact, builder.cast(differ, a.type)});
  const TensorflowValue by_zero =
      builder.add("Equal", {b, zero}, {{"incompatible_shape_error", true}}, ElementType::kBool);
  return builder.add_plain("SelectV2", {by_zero, builder.add("RealDiv", {a, b}), builder.add("Rint", {below})},
                           {{"T", a.type}});
}

// A comparison is of bool, whatever it compares.
TensorflowValue binary_result(TensorflowBuilder& builder, BinaryKind kind,
                              const std::vector<TensorflowValue>& operands) {
  const std::string op = binary_operator(kind);
  switch (kind) {
    case BinaryKind::kAnd:
    case BinaryKind::kOr:
      return builder.add_plain(op, operands);
    case BinaryKind::kEqual:
      return builder.add(op, operands, {{"incompatible_shape_error", true}}, ElementType::kBool);
    case BinaryKind::kLess:
    case BinaryKind::kLessEqual:
      return builder.add(op, operands, {}, ElementType::kBool);
    case BinaryKind::kFloorDivide:
      return is_real(operands.at(0).type) ? floor_divided(builder, operands) : builder.add(op, operands);
    default:
      return builder.add(op, operands);
  }
}

// What a binary node of this kind makes of another value and this number on its right, or nothing.
std::optional<ValueId> before(const PrimitiveCall& call, const PrimitiveNode* node, BinaryKind kind, float number) {
  const auto* binary = node ? std::get_if<primitive::Binary>(&node->operation) : nullptr;
  if (!binary || binary->kind != kind) return std::nullopt;
  const PrimitiveNode* right = call.writer().producer(node->inputs.at(1));
  const auto* constant = right ? std::get_if<primitive::Constant>(&right->operation) : nullptr;
  if (!constant || constant->type != ElementType::kFloat || !constant->sizes.empty()) return std::nullopt;
  float found = 0;
  std::memcpy(&found, constant->bytes.data(), sizeof found);
  return found == number ? std::optional(node->inputs.at(0)) : std::nullopt;
}

// min(max(x, 0), 6), which TensorFlow has one kernel for.
std::optional<ValueId> within_relu6(const PrimitiveCall& call) {
  const auto most = before(call, &call.node(), BinaryKind::kMinimum, 6);
  return most ? before(call, call.writer().producer(*most), BinaryKind::kMaximum, 0) : std::nullopt;
}

}  // namespace

void write_primitive(PrimitiveCall& call, const primitive::Unary& operation) {
  const TensorflowValue x = call.input(0);
  const std::string op = unary_operator(operation.kind);
  if (operation.kind == UnaryKind::kNot) return call.bind(call.builder().add_plain(op, {x}));
  if (operation.kind == UnaryKind::kIsNan) return call.bind(call.builder().add(op, {x}, {}, ElementType::kBool));
  call.bind(call.builder().add(op, {x}));
}

void write_primitive(PrimitiveCall& call, const primitive::Binary& operation) {
  if (const auto x = within_relu6(call)) return call.bind(call.builder().add("Relu6", {call.writer().value(*x)}));
  const AlignedValues operands = aligned(call.builder(), {call.input(0), call.input(1)});
  require_broadcast(call, operands);
  TensorflowValue result = binary_result(call.builder(), operation.kind, operands.values);
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

}  // namespace lockstep
