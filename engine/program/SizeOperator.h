// Python's arithmetic on sizes, which a graph calls as `_operator.add`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

namespace lockstep {

/// Integers of 64 bits, and what comparing them says.
using SizeValue = std::variant<std::int64_t, bool>;

struct SizeOperator {
  std::size_t operands;
  /// Division and remainder round down, as Python's do. Throws InputError for what leaves 64 bits, for a division by
  /// zero and for a negative exponent. `b` is not read where one operand is all.
  SizeValue (*compute)(std::int64_t a, std::int64_t b);
};

/// The operator of a target such as `_operator.floordiv`; nullptr for what is none.
const SizeOperator* find_size_operator(const std::string& target);

}  // namespace lockstep
