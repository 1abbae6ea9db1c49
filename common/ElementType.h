// Types of a tensor's elements, for those who know no torch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lockstep {

/// Types of elements, numbered as a .pt2 archive numbers them (Graph::scalar_type); from 1000 on those that only data
/// has.
enum class ElementType {
  kUint8 = 1,
  kInt8 = 2,
  kInt16 = 3,
  kInt32 = 4,
  kInt64 = 5,
  kHalf = 6,
  kFloat = 7,
  kDouble = 8,
  kBool = 12,
  kBFloat16 = 13,
  kUint16 = 28,
  kUint32 = 1000,
  kUint64 = 1001,
};

/// Bytes of one element. Throws InputError for a number that is none of the above (complex and quantized types).
std::size_t size_of(ElementType type);

/// "int64", as NumPy and PyTorch name it. Throws InputError as size_of does.
std::string to_string(ElementType type);

/// What integers of a type are at least and at most.
struct IntegerLimits {
  std::int64_t least = 0;
  std::uint64_t most = 0;
};

/// Of a type of integers, or of bool. Throws InternalError for others.
IntegerLimits limits_of(ElementType type);

bool is_real(ElementType type);     ///< float64, float32, float16, bfloat16
bool is_integer(ElementType type);  ///< with uint8, without bool

}  // namespace lockstep
