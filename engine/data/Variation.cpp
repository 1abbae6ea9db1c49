#include "engine/data/Variation.h"

#include <algorithm>
#include <vector>

namespace lockstep {

namespace {

/// Writes a row of `count` bytes that was shifted: each is the one `right` behind it, or 0.
void shift_row(const std::byte* row, std::int64_t count, std::int64_t right, std::byte* out) {
  const std::int64_t begin = std::clamp<std::int64_t>(-right, 0, count);
  const std::int64_t end = std::clamp<std::int64_t>(count - right, begin, count);
  std::fill(out, out + begin, std::byte{0});
  std::copy(row + begin + right, row + end + right, out + begin);
  std::fill(out + end, out + count, std::byte{0});
}

}  // namespace

Variation variation_of(const Hyperparameters& hyperparameters, std::uint64_t seed) {
  return {.seed = seed, .flip = hyperparameters.image_flip, .padding = hyperparameters.image_padding};
}

bool is_picture(const Field& field) {
  if (field.type != ElementType::kUint8) return false;
  const std::vector<std::int64_t>& sizes = field.sizes;
  return sizes.size() == 2 || (sizes.size() == 3 && (sizes[0] == 1 || sizes[0] == 3 || sizes[0] == 4));
}

void vary(std::byte* picture, const Field& field, const Variation& variation, std::int64_t epoch, std::int64_t sample) {
  const Draw draw = {.seed = variation.seed, .epoch = epoch};
  const std::int64_t rows = field.sizes[field.sizes.size() - 2];
  const std::int64_t columns = field.sizes.back();
  const bool flipped = SampleChance(draw, sample, SampleChance::Use::kFlip).uniform() < variation.flip;
  SampleChance shift(draw, sample, SampleChance::Use::kShift);
  const std::int64_t down = shift.below(2 * variation.padding + 1) - variation.padding;
  const std::int64_t right = shift.below(2 * variation.padding + 1) - variation.padding;
  if (!flipped && down == 0 && right == 0) return;
  thread_local std::vector<std::byte> before;
  before.assign(picture, picture + field.bytes());
  for (std::int64_t row = 0; row < field.numbers() / columns; ++row) {
    std::byte* out = picture + row * columns;
    const std::int64_t from = row % rows + down;
    if (from < 0 || from >= rows) {
      std::fill(out, out + columns, std::byte{0});
    } else {
      shift_row(before.data() + (row + down) * columns, columns, right, out);
    }
    if (flipped) std::reverse(out, out + columns);
  }
}

}  // namespace lockstep
