#include "common/ElementType.h"

#include <limits>
#include <optional>

#include "common/Error.h"

namespace lockstep {

namespace {

struct Row {
  ElementType type;
  std::size_t bytes;
  const char* name;
  std::optional<IntegerLimits> limits;  ///< nothing: real numbers
};

template <typename Number>
constexpr IntegerLimits limits() {
  return {std::numeric_limits<Number>::min(), std::numeric_limits<Number>::max()};
}

constexpr Row kRows[] = {
    {ElementType::kUint8, 1, "uint8", limits<std::uint8_t>()},
    {ElementType::kInt8, 1, "int8", limits<std::int8_t>()},
    {ElementType::kInt16, 2, "int16", limits<std::int16_t>()},
    {ElementType::kInt32, 4, "int32", limits<std::int32_t>()},
    {ElementType::kInt64, 8, "int64", limits<std::int64_t>()},
    {ElementType::kHalf, 2, "float16", std::nullopt},
    {ElementType::kFloat, 4, "float32", std::nullopt},
    {ElementType::kDouble, 8, "float64", std::nullopt},
    {ElementType::kBool, 1, "bool", limits<bool>()},
    {ElementType::kBFloat16, 2, "bfloat16", std::nullopt},
    {ElementType::kUint16, 2, "uint16", limits<std::uint16_t>()},
    {ElementType::kUint32, 4, "uint32", limits<std::uint32_t>()},
    {ElementType::kUint64, 8, "uint64", limits<std::uint64_t>()},
};

const Row& row_of(ElementType type) {
  for (const Row& row : kRows) {
    if (row.type == type) return row;
  }
  throw InputError("tensors of the archive's type " + std::to_string(static_cast<int>(type)) + " are not supported");
}

}  // namespace

std::size_t size_of(ElementType type) { return row_of(type).bytes; }

std::string to_string(ElementType type) { return row_of(type).name; }

IntegerLimits limits_of(ElementType type) {
  const Row& row = row_of(type);
  if (!row.limits) throw InternalError(std::string(row.name) + " is no type of integers");
  return *row.limits;
}

bool is_real(ElementType type) {
  return type == ElementType::kDouble || type == ElementType::kFloat || type == ElementType::kHalf ||
         type == ElementType::kBFloat16;
}

bool is_integer(ElementType type) { return !is_real(type) && type != ElementType::kBool; }

}  // namespace lockstep
