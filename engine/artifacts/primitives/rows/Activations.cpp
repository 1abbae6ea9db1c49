// Activations, each by the formula in PyTorch's documentation (torch.nn).
#include <cmath>

#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

using Function = primitive::Unary::Kind;

Term relu(const Term& x) { return unary(Function::kRelu, x); }
Term sigmoid(const Term& x) { return unary(Function::kSigmoid, x); }
Term softplus(const Term& x) { return unary(Function::kSoftplus, x); }
Term exponential_less_one(const Term& x) { return unary(Function::kExp, x) - 1.0; }
Term positive(const Term& x) { return less(number_like(x, 0.0), x); }
Term within(const Term& x, double least, double most) {
  return minimum(maximum(x, number_like(x, least)), number_like(x, most));
}
Term hard_sigmoid(const Term& x) { return within(x + 3.0, 0, 6) / 6.0; }

Term elu_of(const Term& x, double alpha, double scale, double input_scale) {
  const Term negative = exponential_less_one(minimum(x, number_like(x, 0.0)) * input_scale) * (alpha * scale);
  return select(positive(x), scale == 1 ? x : x * scale, negative);
}

Term elu(NodeArguments& arguments) {
  const double alpha = arguments.real("alpha", 1);
  const double scale = arguments.real("scale", 1);
  return elu_of(arguments.tensor("self"), alpha, scale, arguments.real("input_scale", 1));
}

Term celu(NodeArguments& arguments) {
  const double alpha = arguments.real("alpha", 1);
  return elu_of(arguments.tensor("self"), alpha, 1, 1 / alpha);
}

Term selu(const Term& x) { return elu_of(x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1); }

Term leaky(const Term& x, const Term& slope) { return select(positive(x), x, x * slope); }

// One slope, or one for each channel, which is the second dimension.
Term prelu(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  Term slope = arguments.tensor("weight");
  if (slope.rank() == 1 && x.rank() > 2) {
    Integers sizes(x.rank() - 1, std::int64_t{1});
    sizes[0] = slope.size(0);
    slope = reshape(slope, sizes);
  }
  return leaky(x, slope);
}

Term softplus_row(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const double beta = arguments.real("beta", 1);
  const double threshold = arguments.real("threshold", 20);
  const Term curve = beta == 1 ? softplus(x) : softplus(x * beta) / beta;
  if (threshold >= 20) return curve;  // from there on it is x to rounding
  return select(less_equal(x * beta, number_like(x, threshold)), curve, x);
}

Term threshold(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const Term limit = number_like(x, arguments.number("threshold", 0.0));
  return select(less_equal(x, limit), number_like(x, arguments.number("value", 0.0)), x);
}

Term shrink(NodeArguments& arguments, bool soft) {
  const Term x = arguments.tensor("self");
  const double lambda = arguments.real("lambd", 0.5);
  const Term inside = less_equal(unary(Function::kAbsolute, x), number_like(x, lambda));
  const Term outside = soft ? x - unary(Function::kSign, x) * lambda : x;
  return select(inside, number_like(x, 0.0), outside);
}

// The first half of a dimension, gated by the second.
Term glu(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::size_t dim = arguments.dim("dim", x.rank(), -1);
  const Integer half =
      integer_arithmetic(arguments.builder(), primitive::Binary::Kind::kFloorDivide, x.size(dim), std::int64_t{2});
  const Term gate = slice(x, dim, half, x.size(dim));
  return slice(x, dim, std::int64_t{0}, half) * sigmoid(gate);
}

Term gelu(NodeArguments& arguments) {
  const std::string form = arguments.text("approximate", "none");
  return perform(primitive::Gelu{form == "tanh"}, {arguments.tensor("self")});
}

Term logit(NodeArguments& arguments) {
  Term x = cast(arguments.tensor("self"), arguments.output_type());
  if (arguments.has("eps")) {
    const double epsilon = arguments.real("eps", 0);
    x = within(x, epsilon, 1 - epsilon);
  }
  return unary(Function::kLog, x / (1.0 - x));
}

}  // namespace

PrimitiveRows activation_rows() {
  return {
      {"_prelu_kernel", prelu},
      {"celu", celu},
      {"elu", elu},
      {"gelu", gelu},
      {"glu", glu},
      {"hardshrink", [](NodeArguments& arguments) { return shrink(arguments, false); }},
      {"hardsigmoid", hard_sigmoid},
      {"hardswish", [](const Term& x) { return x * hard_sigmoid(x); }},
      {"hardtanh",
       [](NodeArguments& arguments) {
         const double least = arguments.real("min_val", -1);
         return within(arguments.tensor("self"), least, arguments.real("max_val", 1));
       }},
      {"leaky_relu",
       [](NodeArguments& arguments) {
         const Term x = arguments.tensor("self");
         return leaky(x, number_like(x, arguments.real("negative_slope", 0.01)));
       }},
      {"log_sigmoid", [](const Term& x) { return -softplus(-x); }},
      {"logit", logit},
      {"mish", [](const Term& x) { return x * unary(Function::kTanh, softplus(x)); }},
      {"prelu", prelu},
      {"relu", relu},
      {"relu6", [](const Term& x) { return within(x, 0, 6); }},
      {"selu", selu},
      {"sigmoid", sigmoid},
      {"silu", [](const Term& x) { return x * sigmoid(x); }},
      {"softplus", softplus_row},
      {"softshrink", [](NodeArguments& arguments) { return shrink(arguments, true); }},
      {"tanh", [](const Term& x) { return unary(Function::kTanh, x); }},
      {"threshold", threshold},
  };
}

}  // namespace lockstep
