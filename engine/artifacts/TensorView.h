// Tensors as formats that know no torch see them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockstep {

/// Types of elements, numbered as a .pt2 archive numbers them (Graph::scalar_type).
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
};

/// Bytes of one element. Throws InputError for a number that is none of the above (complex and quantized types).
std::size_t size_of(ElementType type);

/// A tensor in someone else's memory, which must outlive the view.
struct TensorView {
  ElementType type = ElementType::kFloat;
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;  ///< in elements
  const std::byte* data = nullptr;

  /// The same elements with dimension `axes[i]` as dimension i.
  TensorView permuted(const std::vector<std::int64_t>& axes) const;
  bool is_row_major() const;
  std::size_t bytes() const;
};

}  // namespace lockstep
