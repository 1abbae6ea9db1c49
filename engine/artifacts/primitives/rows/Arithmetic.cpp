// Elementwise arithmetic, by the formulas in PyTorch's documentation (torch) where none other is named.
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

using Function = primitive::Unary::Kind;

template <Function kKind>
Term function(const Term& x) {
  return unary(kKind, x);
}

Term absolute(const Term& x) { return unary(Function::kAbsolute, x); }

Term truncated(const Term& x) {
  if (!is_real(x.type())) return x;
  return select(less(x, number_like(x, 0.0)), unary(Function::kCeil, x), unary(Function::kFloor, x));
}

Term polynomial(const Term& x, const std::vector<double>& factors) {
  Term sum = number_like(x, factors.at(0));
  for (std::size_t i = 1; i < factors.size(); ++i) sum = sum * x + factors[i];
  return sum;
}

// W. J. Cody, Rational Chebyshev approximations for the error function, 1969: far from 0, where 1 - erf(x) cancels.
Term complementary_error(const Term& given) {
  const bool narrow = given.type() == ElementType::kHalf || given.type() == ElementType::kBFloat16;
  const Term x = narrow ? cast(given, ElementType::kFloat) : given;
  const Term size = absolute(x);
  const Term middle = minimum(size, number_like(x, 4.0));
  const Term far = maximum(size, number_like(x, 4.0));
  const Term square = unary(Function::kReciprocal, far * far);
  const Term of_middle =
      polynomial(middle, {2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
                          2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
                          1.23033935479799725e3}) /
      polynomial(middle, {1, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
                          3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3});
  const Term of_square = polynomial(square, {1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
                                             1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4}) /
                         polynomial(square, {1, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1,
                                             6.05183413124413191e-2, 2.33520497626869185e-3});
  const Term of_far = (std::numbers::inv_sqrtpi - square * of_square) / far;
  const Term tail = select(less_equal(size, number_like(x, 4.0)), of_middle, of_far) * unary(Function::kExp, -(x * x));
  const Term both_sides = select(less(x, number_like(x, 0.0)), 2.0 - tail, tail);
  const Term near = 1.0 - unary(Function::kErf, x);
  return cast(select(less_equal(size, number_like(x, 0.46875)), near, both_sides), given.type());
}

// (exp(x) - 1 - (exp(-x) - 1)) ÷ 2: the two have opposite signs, so that nothing cancels near 0.
Term hyperbolic_sine(const Term& x) { return (unary(Function::kExpm1, x) - unary(Function::kExpm1, -x)) * 0.5; }

// self ± alpha · other; of bool, where a sum is an or.
Term sum(NodeArguments& arguments, const char* first, const char* second, bool minus) {
  const ElementType type = arguments.output_type();
  const Term a = arguments.operand(first, type);
  Term b = arguments.operand(second, type);
  const Number alpha = arguments.number("alpha", std::int64_t{1});
  if (type == ElementType::kBool) return logical_or(a, b);
  if (alpha != Number(std::int64_t{1})) b = b * number_like(b, alpha);
  return minus ? a - b : a + b;
}

Term multiplied_row(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  const Term a = arguments.operand("self", type);
  const Term b = arguments.operand("other", type);
  return type == ElementType::kBool ? logical_and(a, b) : a * b;
}

// Of integers, toward zero.
Term truncated_quotient(const Term& a, const Term& b) {
  const Term floor = binary(primitive::Binary::Kind::kFloorDivide, a, b);
  const Term up = logical_and(less(floor, number_like(a, std::int64_t{0})), logical_not(equal(floor * b, a)));
  return select(up, floor + number_like(floor, std::int64_t{1}), floor);
}

Term divided_row(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  const Term a = arguments.operand("self", type);
  const Term b = arguments.operand("other", type);
  const std::string mode = arguments.text("rounding_mode", "");
  if (mode == "floor") return binary(primitive::Binary::Kind::kFloorDivide, a, b);
  if (mode != "trunc") return a / b;
  return is_real(type) ? truncated(a / b) : truncated_quotient(a, b);
}

template <primitive::Binary::Kind kKind>
Term binary_row(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  const Term a = arguments.operand("self", type);
  return binary(kKind, a, arguments.operand("other", type));
}

// The remainder with the sign of the dividend.
Term fmod_row(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  const Term a = arguments.operand("self", type);
  const Term rest =
      binary(primitive::Binary::Kind::kRemainder, absolute(a), absolute(arguments.operand("other", type)));
  return select(less(a, number_like(a, std::int64_t{0})), -rest, rest);
}

Term power_row(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  const Term x = arguments.operand("self", type);
  const Operand exponent = arguments.operand("exponent");
  if (const auto* number = std::get_if<Number>(&exponent.value)) {
    const double value = std::visit([](auto each) { return static_cast<double>(each); }, *number);
    if (value == 1) return x;
    if (value == 2) return x * x;
    if (value == 3) return x * x * x;
    if (value == 0.5 && is_real(type)) return unary(Function::kSqrt, x);
    if (value == -0.5 && is_real(type)) return unary(Function::kRsqrt, x);
    if (value == -1 && is_real(type)) return unary(Function::kReciprocal, x);
  }
  return binary(primitive::Binary::Kind::kPower, x, as_tensor(arguments.builder(), exponent, type));
}

Term clamped(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  Term x = cast(arguments.tensor("self"), type);
  if (arguments.has("min")) x = maximum(x, arguments.operand("min", type));
  if (arguments.has("max")) x = minimum(x, arguments.operand("max", type));
  return x;
}

// self + value · tensor1 (· or ÷) tensor2.
Term combined_row(NodeArguments& arguments, bool divides) {
  const ElementType type = arguments.output_type();
  const Term a = cast(arguments.tensor("tensor1"), type);
  const Term b = cast(arguments.tensor("tensor2"), type);
  const Term scale = number(arguments.builder(), arguments.number("value", std::int64_t{1}), type);
  return cast(arguments.tensor("self"), type) + scale * (divides ? a / b : a * b);
}

Term lerp_row(NodeArguments& arguments) {
  const Term start = arguments.tensor("self");
  return start + arguments.operand("weight", start.type()) * (arguments.tensor("end") - start);
}

// Numbers that are not finite, replaced.
Term nan_to_num(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  if (!is_real(x.type())) return x;
  const bool single = x.type() == ElementType::kFloat;
  if (!single && x.type() != ElementType::kDouble) arguments.refuse("it is of type " + to_string(x.type()));
  const double largest =
      single ? static_cast<double>(std::numeric_limits<float>::max()) : std::numeric_limits<double>::max();
  const double infinity = std::numeric_limits<double>::infinity();
  const Term y = select(unary(Function::kIsNan, x), number_like(x, arguments.real("nan", 0)), x);
  const Term z = select(equal(x, number_like(x, infinity)), number_like(x, arguments.real("posinf", largest)), y);
  return select(equal(x, number_like(x, -infinity)), number_like(x, arguments.real("neginf", -largest)), z);
}

}  // namespace

PrimitiveRows arithmetic_rows() {
  return {
      {"abs", function<Function::kAbsolute>},
      {"add", [](NodeArguments& arguments) { return sum(arguments, "self", "other", false); }},
      {"addcdiv", [](NodeArguments& arguments) { return combined_row(arguments, true); }},
      {"addcmul", [](NodeArguments& arguments) { return combined_row(arguments, false); }},
      {"ceil", [](const Term& x) { return is_real(x.type()) ? unary(Function::kCeil, x) : x; }},
      {"clamp", clamped},
      {"clamp_max", clamped},
      {"clamp_min", clamped},
      {"clip", clamped},
      {"cos", function<Function::kCos>},
      {"cosh", [](const Term& x) { return (unary(Function::kExp, x) + unary(Function::kExp, -x)) * 0.5; }},
      {"div", divided_row},
      {"divide", divided_row},
      {"erf", function<Function::kErf>},
      {"erfc", complementary_error},
      {"exp", function<Function::kExp>},
      {"exp2", [](const Term& x) { return unary(Function::kExp, x * std::numbers::ln2); }},
      {"expm1", function<Function::kExpm1>},
      {"floor", [](const Term& x) { return is_real(x.type()) ? unary(Function::kFloor, x) : x; }},
      {"floor_divide", binary_row<primitive::Binary::Kind::kFloorDivide>},
      {"fmod", fmod_row},
      {"frac", [](const Term& x) { return x - truncated(x); }},
      {"lerp", lerp_row},
      {"log", function<Function::kLog>},
      {"log10", [](const Term& x) { return unary(Function::kLog, x) * (1 / std::numbers::ln10); }},
      {"log1p", function<Function::kLog1p>},
      {"log2", [](const Term& x) { return unary(Function::kLog, x) * (1 / std::numbers::ln2); }},
      {"max.other", binary_row<primitive::Binary::Kind::kMaximum>},
      {"maximum", binary_row<primitive::Binary::Kind::kMaximum>},
      {"min.other", binary_row<primitive::Binary::Kind::kMinimum>},
      {"minimum", binary_row<primitive::Binary::Kind::kMinimum>},
      {"mul", multiplied_row},
      {"multiply", multiplied_row},
      {"nan_to_num", nan_to_num},
      {"neg", function<Function::kNegative>},
      {"pow", power_row},
      {"reciprocal", function<Function::kReciprocal>},
      {"remainder", binary_row<primitive::Binary::Kind::kRemainder>},
      {"round", [](const Term& x) { return is_real(x.type()) ? unary(Function::kRound, x) : x; }},
      {"rsqrt", function<Function::kRsqrt>},
      {"rsub",
       [](NodeArguments& arguments) {
         const Term other = arguments.operand("other", arguments.output_type());
         const Number alpha = arguments.number("alpha", std::int64_t{1});
         const Term self = cast(arguments.tensor("self"), other.type());
         return other - (alpha == Number(std::int64_t{1}) ? self : self * number_like(self, alpha));
       }},
      {"sign", function<Function::kSign>},
      {"sin", function<Function::kSin>},
      {"sinh", hyperbolic_sine},
      {"sqrt", function<Function::kSqrt>},
      {"square", [](const Term& x) { return x * x; }},
      {"sub", [](NodeArguments& arguments) { return sum(arguments, "self", "other", true); }},
      {"subtract", [](NodeArguments& arguments) { return sum(arguments, "self", "other", true); }},
      {"tan", [](const Term& x) { return unary(Function::kSin, x) / unary(Function::kCos, x); }},
      {"true_divide", divided_row},
      {"trunc", truncated},
  };
}

}  // namespace lockstep
