#include "engine/data/Variation.h"

#include <algorithm>
#include <cmath>
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

void move(std::byte* picture, const Field& field, bool flipped, std::int64_t down, std::int64_t right) {
  if (!flipped && down == 0 && right == 0) return;
  const std::int64_t rows = field.sizes[field.sizes.size() - 2];
  const std::int64_t columns = field.sizes.back();
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

std::uint8_t byte_of(double value) { return static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)); }

/// The colours of a picture, channel by channel.
struct Colors {
  std::uint8_t* values;
  std::int64_t pixels;
  bool grey;

  double grey_of(std::int64_t pixel) const {
    if (grey) return values[pixel];
    return std::floor(0.2989 * values[pixel] + 0.587 * values[pixels + pixel] + 0.114 * values[2 * pixels + pixel]);
  }
};

void vary_colors(std::byte* picture, const Field& field, const Variation& variation, SampleChance chance) {
  const auto factor = [&](double most) { return most > 0 ? chance.between(1 - most, 1 + most) : 1; };
  const double brightness = factor(variation.brightness);
  const double contrast = factor(variation.contrast);
  adjust_colors(picture, field, brightness, contrast, factor(variation.saturation));
}

}  // namespace

Variation variation_of(const Hyperparameters& hyperparameters, std::uint64_t seed) {
  const std::vector<double>& jitter = hyperparameters.image_jitter;
  return {.seed = seed,
          .flip = hyperparameters.image_flip,
          .padding = hyperparameters.image_padding,
          .brightness = jitter.empty() ? 0 : jitter.at(0),
          .contrast = jitter.empty() ? 0 : jitter.at(1),
          .saturation = jitter.empty() ? 0 : jitter.at(2)};
}

bool is_picture(const Field& field) {
  if (field.type != ElementType::kUint8) return false;
  const std::vector<std::int64_t>& sizes = field.sizes;
  return sizes.size() == 2 || (sizes.size() == 3 && (sizes[0] == 1 || sizes[0] == 3 || sizes[0] == 4));
}

void adjust_colors(std::byte* picture, const Field& field, double brightness, double contrast, double saturation) {
  const std::int64_t channels = field.sizes.size() == 2 ? 1 : field.sizes[0];
  const std::int64_t pixels = field.numbers() / channels;
  const Colors colors = {.values = reinterpret_cast<std::uint8_t*>(picture), .pixels = pixels, .grey = channels == 1};
  const std::int64_t count = colors.grey ? pixels : 3 * pixels;
  if (brightness != 1) {
    for (std::int64_t i = 0; i < count; ++i) colors.values[i] = byte_of(colors.values[i] * brightness);
  }
  if (contrast != 1) {
    double sum = 0;  // exact: of integers
    for (std::int64_t i = 0; i < pixels; ++i) sum += colors.grey_of(i);
    const double mean = sum / static_cast<double>(pixels);
    for (std::int64_t i = 0; i < count; ++i) {
      colors.values[i] = byte_of(colors.values[i] * contrast + mean * (1 - contrast));
    }
  }
  if (saturation == 1 || colors.grey) return;
  for (std::int64_t i = 0; i < pixels; ++i) {
    const double grey = colors.grey_of(i);
    for (std::int64_t at = i; at < count; at += pixels) {
      colors.values[at] = byte_of(colors.values[at] * saturation + grey * (1 - saturation));
    }
  }
}

void vary(std::byte* picture, const Field& field, const Variation& variation, std::int64_t epoch, std::int64_t sample) {
  const Draw draw = {.seed = variation.seed, .epoch = epoch};
  const bool flipped = SampleChance(draw, sample, SampleChance::Use::kFlip).uniform() < variation.flip;
  SampleChance shift(draw, sample, SampleChance::Use::kShift);
  const std::int64_t down = shift.below(2 * variation.padding + 1) - variation.padding;
  const std::int64_t right = shift.below(2 * variation.padding + 1) - variation.padding;
  move(picture, field, flipped, down, right);
  if (variation.jitters()) {
    vary_colors(picture, field, variation, SampleChance(draw, sample, SampleChance::Use::kJitter));
  }
}

}  // namespace lockstep
