#include "engine/artifacts/TensorView.h"

namespace lockstep {

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
