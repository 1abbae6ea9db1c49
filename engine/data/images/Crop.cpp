#include "engine/data/images/Crop.h"

#include <algorithm>
#include <cmath>

namespace lockstep {

namespace {

constexpr double kLeastArea = 0.08;
constexpr double kLeastRatio = 3.0 / 4;  // width ÷ height
constexpr double kMostRatio = 4.0 / 3;
constexpr int kTries = 10;

Box middle(std::int64_t height, std::int64_t width, double part_height, double part_width) {
  const auto fitted = [](double part, std::int64_t size) {
    return std::clamp<std::int64_t>(std::llround(part), 1, size);
  };
  const std::int64_t rows = fitted(part_height, height);
  const std::int64_t columns = fitted(part_width, width);
  return {.top = static_cast<double>((height - rows) / 2),
          .left = static_cast<double>((width - columns) / 2),
          .height = static_cast<double>(rows),
          .width = static_cast<double>(columns)};
}

// The largest part of `ratio`.
Box middle(std::int64_t height, std::int64_t width, double ratio) {
  const auto rows = static_cast<double>(height);
  const auto columns = static_cast<double>(width);
  return middle(height, width, std::min(rows, columns / ratio), std::min(columns, rows * ratio));
}

}  // namespace

Box center_box(std::int64_t height, std::int64_t width, const ImageShape& shape) {
  return middle(height, width, static_cast<double>(shape.width) / static_cast<double>(shape.height));
}

Box random_box(std::int64_t height, std::int64_t width, SampleChance chance) {
  const double area = static_cast<double>(height) * static_cast<double>(width);
  for (int i = 0; i < kTries; ++i) {
    const double part = area * chance.between(kLeastArea, 1);
    const double ratio = std::exp(chance.between(std::log(kLeastRatio), std::log(kMostRatio)));
    const std::int64_t columns = std::llround(std::sqrt(part * ratio));
    const std::int64_t rows = std::llround(std::sqrt(part / ratio));
    if (columns < 1 || rows < 1 || columns > width || rows > height) continue;
    const std::int64_t top = chance.below(height - rows + 1);
    const std::int64_t left = chance.below(width - columns + 1);
    return {.top = static_cast<double>(top),
            .left = static_cast<double>(left),
            .height = static_cast<double>(rows),
            .width = static_cast<double>(columns)};
  }
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  return middle(height, width, std::clamp(ratio, kLeastRatio, kMostRatio));
}

}  // namespace lockstep
