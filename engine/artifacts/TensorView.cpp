#include "engine/artifacts/TensorView.h"

#include <string>

#include "common/Error.h"

namespace lockstep {

std::size_t size_of(ElementType type) {
  switch (type) {
    case ElementType::kUint8:
    case ElementType::kInt8:
    case ElementType::kBool:
      return 1;
    case ElementType::kInt16:
    case ElementType::kHalf:
    case ElementType::kBFloat16:
      return 2;
    case ElementType::kInt32:
    case ElementType::kFloat:
      return 4;
    case ElementType::kInt64:
    case ElementType::kDouble:
      return 8;
  }
  throw InputError("tensors of the archive's type " + std::to_string(static_cast<int>(type)) + " are not supported");
}

TensorView TensorView::permuted(const std::vector<std::int64_t>& axes) const {
  TensorView view{.type = type, .sizes = {}, .strides = {}, .data = data};
  for (const std::int64_t axis : axes) {
    view.sizes.push_back(sizes.at(static_cast<std::size_t>(axis)));
    view.strides.push_back(strides.at(static_cast<std::size_t>(axis)));
  }
  return view;
}

bool TensorView::is_row_major() const {
  std::int64_t expected = 1;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] != 1 && strides[i] != expected) return false;
    expected *= sizes[i];
  }
  return true;
}

std::size_t TensorView::bytes() const {
  std::size_t count = size_of(type);
  for (const std::int64_t size : sizes) count *= static_cast<std::size_t>(size);
  return count;
}

}  // namespace lockstep
