#include "engine/program/SizeOperator.h"

#include <map>

#include "common/Error.h"

namespace lockstep {

namespace {

std::int64_t checked(bool overflow, std::int64_t result) {
  if (overflow) throw InputError("arithmetic on sizes leaves 64 bits");
  return result;
}

std::int64_t add(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const bool overflow = __builtin_add_overflow(a, b, &result);
  return checked(overflow, result);
}

std::int64_t subtract(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const bool overflow = __builtin_sub_overflow(a, b, &result);
  return checked(overflow, result);
}

std::int64_t multiply(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const bool overflow = __builtin_mul_overflow(a, b, &result);
  return checked(overflow, result);
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == 0) throw InputError("integer division by zero");
  if (b == -1) return subtract(0, a);  // the one quotient that can overflow
  return a / b - ((a % b != 0 && (a % b < 0) != (b < 0)) ? 1 : 0);
}

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) throw InputError("integer power with a negative exponent");
  std::int64_t result = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result = multiply(result, base);
    if (exponent > 1) base = multiply(base, base);
  }
  return result;
}

}  // namespace

const SizeOperator* find_size_operator(const std::string& target) {
  using Int = std::int64_t;
  static const std::map<std::string, SizeOperator> operators = {
      {"_operator.add", {2, [](Int a, Int b) -> SizeValue { return add(a, b); }}},
      {"_operator.sub", {2, [](Int a, Int b) -> SizeValue { return subtract(a, b); }}},
      {"_operator.mul", {2, [](Int a, Int b) -> SizeValue { return multiply(a, b); }}},
      {"_operator.floordiv", {2, [](Int a, Int b) -> SizeValue { return floor_div(a, b); }}},
      {"_operator.mod", {2, [](Int a, Int b) -> SizeValue { return subtract(a, multiply(floor_div(a, b), b)); }}},
      {"_operator.neg", {1, [](Int a, Int) -> SizeValue { return subtract(0, a); }}},
      {"_operator.pow", {2, [](Int a, Int b) -> SizeValue { return power(a, b); }}},
      {"_operator.eq", {2, [](Int a, Int b) -> SizeValue { return a == b; }}},
      {"_operator.ne", {2, [](Int a, Int b) -> SizeValue { return a != b; }}},
      {"_operator.lt", {2, [](Int a, Int b) -> SizeValue { return a < b; }}},
      {"_operator.le", {2, [](Int a, Int b) -> SizeValue { return a <= b; }}},
      {"_operator.gt", {2, [](Int a, Int b) -> SizeValue { return a > b; }}},
      {"_operator.ge", {2, [](Int a, Int b) -> SizeValue { return a >= b; }}},
  };
  const auto found = operators.find(target);
  return found == operators.end() ? nullptr : &found->second;
}

}  // namespace lockstep
