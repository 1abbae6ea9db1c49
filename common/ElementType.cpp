#include "common/ElementType.h"

#include "common/Error.h"

namespace lockstep {

namespace {

struct Row {
  ElementType type;
  std::size_t bytes;
  const char* name;
};

constexpr Row kRows[] = {{ElementType::kUint8, 1, "uint8"},   {ElementType::kInt8, 1, "int8"},
                         {ElementType::kInt16, 2, "int16"},   {ElementType::kInt32, 4, "int32"},
                         {ElementType::kInt64, 8, "int64"},   {ElementType::kHalf, 2, "float16"},
                         {ElementType::kFloat, 4, "float32"}, {ElementType::kDouble, 8, "float64"},
                         {ElementType::kBool, 1, "bool"},     {ElementType::kBFloat16, 2, "bfloat16"}};

const Row& row_of(ElementType type) {
  for (const Row& row : kRows) {
    if (row.type == type) return row;
  }
  throw InputError("tensors of the archive's type " + std::to_string(static_cast<int>(type)) + " are not supported");
}

}  // namespace

std::size_t size_of(ElementType type) { return row_of(type).bytes; }

std::string to_string(ElementType type) { return row_of(type).name; }

bool is_real(ElementType type) {
  return type == ElementType::kDouble || type == ElementType::kFloat || type == ElementType::kHalf ||
         type == ElementType::kBFloat16;
}

bool is_integer(ElementType type) { return !is_real(type) && type != ElementType::kBool; }

}  // namespace lockstep
