#include "engine/artifacts/TensorView.h"

#include <string>

namespace lockstep {

namespace {

constexpr std::size_t kGatheredBytes = 1 << 20;

}  // namespace

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

void for_each_piece(const TensorView& tensor, const std::function<void(std::string_view)>& take) {
  const char* data = reinterpret_cast<const char*>(tensor.data);
  const std::size_t total = tensor.bytes();
  if (tensor.is_row_major()) {
    if (total > 0) take(std::string_view(data, total));
    return;
  }
  const std::size_t width = size_of(tensor.type);
  std::vector<std::int64_t> index(tensor.sizes.size(), 0);
  std::string piece;
  for (std::size_t left = total; left > 0; left -= width) {
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < index.size(); ++i) offset += index[i] * tensor.strides[i];
    piece.append(data + offset * static_cast<std::int64_t>(width), width);
    for (std::size_t i = index.size(); i-- > 0 && ++index[i] == tensor.sizes[i];) index[i] = 0;
    if (piece.size() < kGatheredBytes && left > width) continue;
    take(std::string_view(piece));
    piece.clear();
  }
}

}  // namespace lockstep
