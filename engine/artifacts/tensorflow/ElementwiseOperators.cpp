#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowOperators.h"

namespace lockstep {

namespace {

using Call = TensorflowCall;

TensorflowOperator unary(std::string output, at::Tensor (*run)(const at::Tensor&)) {
  return tensorflow_row(std::move(output), [run](const Call& call) { return run(call.in(0)); });
}

// One type; runs of dimensions that broadcast alike are one, and there are kernels for so many.
TensorflowOperator binary(at::Tensor (*run)(const at::Tensor&, const at::Tensor&)) {
  return tensorflow_row("z", [run](const Call& call) {
    const at::Tensor& a = call.in(0);
    const at::Tensor& b = call.in(1);
    call.require(a.scalar_type() == b.scalar_type());
    call.require(broadcast_runs(a.sizes().vec(), b.sizes().vec()) <= kMaxBroadcastRuns);
    return run(a, b);
  });
}

// Of bool: it has no attribute that says so.
TensorflowOperator logical(const TensorflowOperator& row) {
  return {row.outputs, [row](const Call& call) {
            call.require(call.in(0).scalar_type() == at::kBool);
            return row.run(call);
          }};
}

at::Tensor floor_of_quotient(const at::Tensor& a, const at::Tensor& b) {
  return a.is_floating_point() ? at::floor(a / b) : at::div(a, b, "floor");
}

at::Tensor biased(const Call& call) {
  const at::Tensor& bias = call.in(1);
  call.require("data_format", "NHWC");
  call.require(call.in(0).dim() >= 2 && bias.dim() == 1 && bias.size(0) == call.in(0).size(-1) &&
               bias.scalar_type() == call.in(0).scalar_type());
  return call.in(0) + bias;
}

at::Tensor converted(const Call& call) {
  call.require(call.in(0).scalar_type() == call.type("SrcT"));
  return call.in(0).to(call.type("DstT"));
}

at::Tensor selected(const Call& call) {
  call.require(call.in(0).scalar_type() == at::kBool && call.in(1).scalar_type() == call.in(2).scalar_type());
  return at::where(call.in(0), call.in(1), call.in(2));
}

TensorflowOperatorRows unary_operators() {
  using X = const at::Tensor&;
  return {
      {"Abs", unary("y", [](X x) { return x.abs(); })},
      {"Ceil", unary("y", [](X x) { return x.ceil(); })},
      {"Cos", unary("y", [](X x) { return x.cos(); })},
      {"Erf", unary("y", [](X x) { return x.erf(); })},
      {"Exp", unary("y", [](X x) { return x.exp(); })},
      {"Expm1", unary("y", [](X x) { return x.expm1(); })},
      {"Floor", unary("y", [](X x) { return x.floor(); })},
      {"Identity", unary("output", [](X x) { return x; })},
      {"IsNan", unary("y", [](X x) { return x.isnan(); })},
      {"Log", unary("y", [](X x) { return x.log(); })},
      {"Log1p", unary("y", [](X x) { return x.log1p(); })},
      {"LogicalNot", logical(unary("y", [](X x) { return x.logical_not(); }))},
      {"Neg", unary("y", [](X x) { return x.neg(); })},
      {"OnesLike", unary("y", [](X x) { return at::ones_like(x); })},
      {"Reciprocal", unary("y", [](X x) { return x.reciprocal(); })},
      {"Relu", unary("activations", [](X x) { return x.relu(); })},
      {"Relu6", unary("activations", [](X x) { return x.clamp(0, 6); })},
      {"Rint", unary("y", [](X x) { return x.round(); })},
      {"Rsqrt", unary("y", [](X x) { return x.rsqrt(); })},
      {"Sigmoid", unary("y", [](X x) { return x.sigmoid(); })},
      {"Sign", unary("y", [](X x) { return x.sign(); })},
      {"Sin", unary("y", [](X x) { return x.sin(); })},
      {"Softplus", unary("activations", [](X x) { return at::logaddexp(x, at::zeros_like(x)); })},
      {"Sqrt", unary("y", [](X x) { return x.sqrt(); })},
      {"Tanh", unary("y", [](X x) { return x.tanh(); })},
  };
}

TensorflowOperatorRows binary_operators() {
  using X = const at::Tensor&;
  return {
      {"AddV2", binary([](X a, X b) { return a + b; })},
      {"Equal", binary([](X a, X b) { return a == b; })},
      {"FloorDiv", binary(floor_of_quotient)},
      {"FloorMod", binary([](X a, X b) { return at::remainder(a, b); })},
      {"Less", binary([](X a, X b) { return a < b; })},
      {"LessEqual", binary([](X a, X b) { return a <= b; })},
      {"LogicalAnd", logical(binary([](X a, X b) { return a.logical_and(b); }))},
      {"LogicalOr", logical(binary([](X a, X b) { return a.logical_or(b); }))},
      {"Maximum", binary([](X a, X b) { return at::maximum(a, b); })},
      {"Minimum", binary([](X a, X b) { return at::minimum(a, b); })},
      {"Mul", binary([](X a, X b) { return a * b; })},
      {"Pow", binary([](X a, X b) { return at::pow(a, b); })},
      {"RealDiv", binary([](X a, X b) { return at::div(a, b); })},
      {"SquaredDifference", binary([](X a, X b) { return at::square(a - b); })},
      {"Sub", binary([](X a, X b) { return a - b; })},
      {"TruncateMod", binary([](X a, X b) { return at::fmod(a, b); })},
  };
}

}  // namespace

TensorflowOperatorRows elementwise_tensorflow_operators() {
  TensorflowOperatorRows rows = {{"BiasAdd", tensorflow_row("output", biased)},
                                 {"Cast", tensorflow_row("y", converted)},
                                 {"SelectV2", tensorflow_row("output", selected)}};
  rows.merge(unary_operators());
  rows.merge(binary_operators());
  return rows;
}

}  // namespace lockstep
