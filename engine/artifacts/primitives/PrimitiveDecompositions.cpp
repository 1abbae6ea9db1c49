#include "engine/artifacts/primitives/PrimitiveDecompositions.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "engine/artifacts/primitives/PrimitiveRewriting.h"

namespace lockstep {

namespace {

using Function = primitive::Unary::Kind;
using Reduction = primitive::Reduce::Kind;

// W. Kahan's: what 1 + x loses is lost in both factors. HP-15C Advanced Functions Handbook, appendix.
Term log1p_of(const Term& x) {
  const Term u = x + 1.0;
  const Term log = unary(Function::kLog, u);
  const Term infinite = equal(u, number_like(x, std::numeric_limits<double>::infinity()));
  return select(equal(u, number_like(x, 1.0)), x, select(infinite, u, log * (x / (u - 1.0))));
}

Term expm1_of(const Term& x) {
  const Term u = unary(Function::kExp, x);
  const Term near = u - 1.0;
  const Term far =
      logical_or(equal(near, number_like(x, -1.0)), equal(u, number_like(x, std::numeric_limits<double>::infinity())));
  return select(equal(u, number_like(x, 1.0)), x, select(far, near, near * (x / unary(Function::kLog, u))));
}

Term batch_norm_of(const primitive::BatchNorm& norm, const std::vector<Term>& in) {
  const Term factor = in.at(1) * unary(Function::kRsqrt, in.at(4) + norm.epsilon);
  const Term shift = in.at(2) - in.at(3) * factor;
  return in.at(0) * by_channel(factor, in[0]) + by_channel(shift, in[0]);
}

Term layer_norm_of(const primitive::LayerNorm& norm, const std::vector<Term>& in) {
  Ints dims;
  for (std::size_t i = in.at(0).rank() - norm.dims; i < in[0].rank(); ++i) dims.push_back(static_cast<std::int64_t>(i));
  Term result = standardized(in[0], dims, norm.epsilon);
  if (in.size() > 1) result = result * in[1];
  return in.size() > 2 ? result + in[2] : result;
}

// Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
Term gelu_of(const primitive::Gelu& gelu, const Term& x) {
  const Term curve = gelu.tanh ? unary(Function::kTanh, (x + x * x * x * 0.044715) * std::sqrt(2 / std::numbers::pi))
                               : unary(Function::kErf, x * (1 / std::numbers::sqrt2));
  return (curve + 1.0) * 0.5 * x;  // in this order TensorFlow's own optimizer knows it
}

Term linear_of(const std::vector<Term>& in) {
  const Term result = product(in.at(0), in.at(1), true);
  return in.size() > 2 ? result + in[2] : result;
}

Term sigmoid_of(const Term& x) { return unary(Function::kSigmoid, x); }
Term tanh_of(const Term& x) { return unary(Function::kTanh, x); }

/// The state of a recurrent layer between two times, and its cell where it has one.
struct Memory {
  Term state;
  Term cell;
};

// Part `i` of the gates [batch, gates · width].
Term gate(const Term& gates, std::int64_t i, std::int64_t width) { return slice(gates, 1, i * width, (i + 1) * width); }

Memory after(const primitive::Recurrent& recurrent, const Term& of_input, const Memory& before,
             const std::vector<Term>& in, std::int64_t width) {
  const Term of_state = perform(primitive::Linear{}, {before.state, in.at(2), in.at(4)});
  if (recurrent.kind == primitive::Recurrent::Kind::kLstm) {
    const Term gates = of_input + of_state;
    const Term written = sigmoid_of(gate(gates, 0, width)) * tanh_of(gate(gates, 2, width));
    const Term cell = sigmoid_of(gate(gates, 1, width)) * before.cell + written;
    return {sigmoid_of(gate(gates, 3, width)) * tanh_of(cell), cell};
  }
  const Term reset = sigmoid_of(gate(of_input, 0, width) + gate(of_state, 0, width));
  const Term kept = sigmoid_of(gate(of_input, 1, width) + gate(of_state, 1, width));
  const Term candidate = tanh_of(gate(of_input, 2, width) + reset * gate(of_state, 2, width));
  return {(1.0 - kept) * candidate + kept * before.state, before.cell};
}

// One time after the other.
std::optional<std::vector<Term>> unrolled(const primitive::Recurrent& recurrent, const std::vector<Term>& in) {
  const std::vector<Dimension> input_sizes = in.at(0).sizes();
  const std::vector<Dimension> state_sizes = in.at(5).sizes();
  const auto* length = std::get_if<std::int64_t>(&input_sizes.at(0));
  const auto* width = std::get_if<std::int64_t>(&state_sizes.at(1));
  if (!length || !width || *length < 1) return std::nullopt;
  const bool lstm = recurrent.kind == primitive::Recurrent::Kind::kLstm;
  const Term of_inputs = perform(primitive::Linear{}, {in[0], in[1], in[3]});
  Memory memory{in[5], lstm ? in.at(6) : in[5]};
  std::vector<Term> states;
  for (std::int64_t i = 0; i < *length; ++i) {
    const std::int64_t time = recurrent.reverse ? *length - 1 - i : i;
    memory = after(recurrent, entry(of_inputs, 0, time), memory, in, *width);
    const Term row = unsqueeze(memory.state, 0);
    states.insert(recurrent.reverse ? states.begin() : states.end(), row);
  }
  std::vector<Term> results = {concatenate(states, 0), memory.state};
  if (lstm) results.push_back(memory.cell);
  return results;
}

}  // namespace

Term standardized(const Term& x, const Ints& dims, double epsilon) {
  const Term distance = x - reduce(Reduction::kMean, x, dims, true);
  const Term variance = reduce(Reduction::kMean, distance * distance, dims, true);
  return distance * unary(Function::kRsqrt, variance + epsilon);
}

Term by_channel(const Term& numbers, const Term& x) {
  if (x.rank() == 2) return numbers;
  Integers sizes(x.rank() - 1, std::int64_t{1});
  sizes[0] = numbers.size(0);
  return reshape(numbers, sizes);
}

std::optional<std::vector<Term>> decomposed(const primitive::Operation& operation, const std::vector<Term>& inputs) {
  if (const auto* function = std::get_if<primitive::Unary>(&operation)) {
    if (function->kind == Function::kLog1p) return {{log1p_of(inputs.at(0))}};
    if (function->kind == Function::kExpm1) return {{expm1_of(inputs.at(0))}};
  }
  if (const auto* norm = std::get_if<primitive::BatchNorm>(&operation)) return {{batch_norm_of(*norm, inputs)}};
  if (const auto* norm = std::get_if<primitive::LayerNorm>(&operation)) return {{layer_norm_of(*norm, inputs)}};
  if (const auto* gelu = std::get_if<primitive::Gelu>(&operation)) return {{gelu_of(*gelu, inputs.at(0))}};
  if (std::holds_alternative<primitive::Linear>(operation)) return {{linear_of(inputs)}};
  if (const auto* recurrent = std::get_if<primitive::Recurrent>(&operation)) return unrolled(*recurrent, inputs);
  return std::nullopt;
}

PrimitiveGraph decompose(const PrimitiveGraph& graph, const PrimitiveChoice& chosen) {
  return rewritten(graph, [&](const PrimitiveNode& node, const std::vector<Term>& inputs) {
    return chosen(node) ? decomposed(node.operation, inputs) : std::nullopt;
  });
}

}  // namespace lockstep
