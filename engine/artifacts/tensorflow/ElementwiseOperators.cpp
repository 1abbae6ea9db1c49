#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowOperators.h"

namespace lockstep {

namespace {

using Call = TensorflowCall;

// Where TensorFlow has a kernel for floating-point numbers only.
TensorflowOperator real(std::string output, at::Tensor (*run)(const at::Tensor&)) {
  return tensorflow_row(std::move(output), [run](const Call& call) {
    call.require(call.in(0).is_floating_point());
    return run(call.in(0));
  });
}

TensorflowOperator unary(at::Tensor (*run)(const at::Tensor&)) {
  return tensorflow_row("y", [run](const Call& call) {
    call.require(call.in(0).scalar_type() != at::kBool);
    return run(call.in(0));
  });
}

// One type; runs of dimensions that broadcast alike are one, and there are kernels for so many.
template <typename Run>
TensorflowOperator binary(Run run, bool of_bool = false) {
  return tensorflow_row("z", [run, of_bool](const Call& call) {
    const at::Tensor& a = call.in(0);
    const at::Tensor& b = call.in(1);
    call.require(a.scalar_type() == b.scalar_type() && (a.scalar_type() != at::kBool || of_bool));
    call.require(broadcast_runs(a.sizes().vec(), b.sizes().vec()) <= kMaxBroadcastRuns);
    return at::Tensor(run(a, b));
  });
}

template <typename Run>
TensorflowOperator logical(Run run) {
  const TensorflowOperator row = binary(run, true);
  return {row.outputs, [row](const Call& call) {
            call.require(call.in(0).scalar_type() == at::kBool);
            return row.run(call);
          }};
}

at::Tensor floor_of_quotient(const at::Tensor& a, const at::Tensor& b) {
  return a.is_floating_point() ? at::floor(a / b) : at::div(a, b, "floor");
}

}  // namespace

TensorflowOperatorRows elementwise_tensorflow_operators() {
  const auto of_zero = [](const at::Tensor& x) { return at::logaddexp(x, at::zeros_like(x)); };
  return {
      {"Abs", unary([](const at::Tensor& x) { return x.abs(); })},
      {"AddV2", binary([](const at::Tensor& a, const at::Tensor& b) { return a + b; })},
      {"BiasAdd", tensorflow_row("output",
                                 [](const Call& call) {
                                   const at::Tensor& bias = call.in(1);
                                   call.require("data_format", "NHWC");
                                   call.require(call.in(0).dim() >= 2 && bias.dim() == 1 &&
                                                bias.size(0) == call.in(0).size(-1) &&
                                                bias.scalar_type() == call.in(0).scalar_type());
                                   return call.in(0) + bias;
                                 })},
      {"Cast", tensorflow_row("y",
                              [](const Call& call) {
                                call.require(call.in(0).scalar_type() == call.type("SrcT"));
                                return call.in(0).to(call.type("DstT"));
                              })},
      {"Ceil", real("y", [](const at::Tensor& x) { return x.ceil(); })},
      {"Cos", real("y", [](const at::Tensor& x) { return x.cos(); })},
      {"Equal", binary([](const at::Tensor& a, const at::Tensor& b) { return a == b; }, true)},
      {"Erf", real("y", [](const at::Tensor& x) { return x.erf(); })},
      {"Exp", real("y", [](const at::Tensor& x) { return x.exp(); })},
      {"Floor", real("y", [](const at::Tensor& x) { return x.floor(); })},
      {"FloorDiv", binary(floor_of_quotient)},
      {"FloorMod", binary([](const at::Tensor& a, const at::Tensor& b) { return at::remainder(a, b); })},
      {"Identity", tensorflow_row("output", [](const Call& call) { return call.in(0); })},
      {"IsNan", real("y", [](const at::Tensor& x) { return x.isnan(); })},
      {"Less", binary([](const at::Tensor& a, const at::Tensor& b) { return a < b; })},
      {"LessEqual", binary([](const at::Tensor& a, const at::Tensor& b) { return a <= b; })},
      {"Log", real("y", [](const at::Tensor& x) { return x.log(); })},
      {"LogicalAnd", logical([](const at::Tensor& a, const at::Tensor& b) { return a.logical_and(b); })},
      {"LogicalNot", tensorflow_row("y",
                                    [](const Call& call) {
                                      call.require(call.in(0).scalar_type() == at::kBool);
                                      return call.in(0).logical_not();
                                    })},
      {"LogicalOr", logical([](const at::Tensor& a, const at::Tensor& b) { return a.logical_or(b); })},
      {"Maximum", binary([](const at::Tensor& a, const at::Tensor& b) { return at::maximum(a, b); })},
      {"Minimum", binary([](const at::Tensor& a, const at::Tensor& b) { return at::minimum(a, b); })},
      {"Mul", binary([](const at::Tensor& a, const at::Tensor& b) { return a * b; })},
      {"Neg", unary([](const at::Tensor& x) { return x.neg(); })},
      {"OnesLike", tensorflow_row("y", [](const Call& call) { return at::ones_like(call.in(0)); })},
      {"Pow", binary([](const at::Tensor& a, const at::Tensor& b) { return at::pow(a, b); })},
      {"RealDiv", binary([](const at::Tensor& a, const at::Tensor& b) { return at::div(a, b); })},
      {"Reciprocal", real("y", [](const at::Tensor& x) { return x.reciprocal(); })},
      {"Relu", {{"activations"}, unary([](const at::Tensor& x) { return x.relu(); }).run}},
      {"Rint", real("y", [](const at::Tensor& x) { return x.round(); })},
      {"Rsqrt", real("y", [](const at::Tensor& x) { return x.rsqrt(); })},
      {"SelectV2", tensorflow_row("output",
                                  [](const Call& call) {
                                    call.require(call.in(0).scalar_type() == at::kBool &&
                                                 call.in(1).scalar_type() == call.in(2).scalar_type());
                                    return at::where(call.in(0), call.in(1), call.in(2));
                                  })},
      {"Sigmoid", real("y", [](const at::Tensor& x) { return x.sigmoid(); })},
      {"Sign", unary([](const at::Tensor& x) { return x.sign(); })},
      {"Sin", real("y", [](const at::Tensor& x) { return x.sin(); })},
      {"Softplus", real("activations", of_zero)},
      {"Sqrt", real("y", [](const at::Tensor& x) { return x.sqrt(); })},
      {"SquaredDifference", binary([](const at::Tensor& a, const at::Tensor& b) { return at::square(a - b); })},
      {"Sub", binary([](const at::Tensor& a, const at::Tensor& b) { return a - b; })},
      {"Tanh", real("y", [](const at::Tensor& x) { return x.tanh(); })},
  };
}

}  // namespace lockstep
