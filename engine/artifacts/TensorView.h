// Tensors as formats that know no torch see them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "common/ElementType.h"

namespace lockstep {

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

/// Hands the bytes of a tensor's elements over in row-major order, in pieces, without a copy of all of them.
void for_each_piece(const TensorView& tensor, const std::function<void(std::string_view)>& take);

}  // namespace lockstep
