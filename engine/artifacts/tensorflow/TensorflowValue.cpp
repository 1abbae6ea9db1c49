#include "engine/artifacts/tensorflow/TensorflowValue.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace lockstep {

std::size_t TensorflowValue::place(std::size_t dim) const {
  const auto found = std::ranges::find(axes, static_cast<std::int64_t>(dim));
  if (found == axes.end()) throw std::out_of_range("a dimension that a value does not have");
  return static_cast<std::size_t>(found - axes.begin());
}

Ints in_order(std::size_t rank) {
  Ints axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

Ints with_last(const Ints& axes, std::size_t dim) {
  Ints order = axes;
  std::erase(order, static_cast<std::int64_t>(dim));
  order.push_back(static_cast<std::int64_t>(dim));
  return order;
}

Ints channels_last(std::size_t rank) {
  Ints axes = in_order(rank);
  if (rank > 2) std::rotate(axes.begin() + 1, axes.begin() + 2, axes.end());
  return axes;
}

Ints without(const Ints& axes, const Ints& dims) {
  Ints rest;
  for (const std::int64_t axis : axes) {
    if (std::ranges::count(dims, axis) > 0) continue;
    rest.push_back(axis - std::ranges::count_if(dims, [&](std::int64_t dim) { return dim < axis; }));
  }
  return rest;
}

Ints places(const Ints& axes, const Ints& dims) {
  Ints found;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (std::ranges::count(dims, axes[i]) > 0) found.push_back(static_cast<std::int64_t>(i));
  }
  return found;
}

Ints known_sizes(const std::vector<Dimension>& sizes) {
  Ints known;
  for (const Dimension& size : sizes) {
    const auto* number = std::get_if<std::int64_t>(&size);
    known.push_back(number ? *number : -1);
  }
  return known;
}

bool is_one(const Dimension& size) { return size == Dimension(std::int64_t{1}); }

}  // namespace lockstep
