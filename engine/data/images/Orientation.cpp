#include "engine/data/images/Orientation.h"

#include <cstddef>
#include <cstring>
#include <utility>

namespace lockstep {

namespace {

using namespace std::string_view_literals;

constexpr std::uint32_t kOrientationTag = 274;
constexpr std::uint32_t kShort = 3;  // the type of its value
constexpr std::size_t kEntryBytes = 12;

/// Numbers of a TIFF file, in its byte order; 0 beyond its end.
class Tiff {
 public:
  explicit Tiff(std::string_view bytes) : bytes_(bytes), big_endian_(bytes.starts_with("MM")) {}

  std::uint32_t number(std::size_t offset, std::size_t width) const {
    if (offset > bytes_.size() || width > bytes_.size() - offset) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t at = offset + (big_endian_ ? i : width - 1 - i);
      value = value << 8U | static_cast<std::uint8_t>(bytes_[at]);
    }
    return value;
  }

 private:
  std::string_view bytes_;
  bool big_endian_;
};

// ITU-R 601-2, in units of 2^-16.
std::uint8_t luma(const std::uint8_t* pixel) {
  return static_cast<std::uint8_t>((pixel[0] * 19595U + pixel[1] * 38470U + pixel[2] * 7471U + 0x8000U) >> 16U);
}

}  // namespace

Orientation exif_orientation(std::string_view tiff) {
  if (tiff.starts_with("Exif\0\0"sv)) tiff.remove_prefix(6);
  if (!tiff.starts_with("II*\0"sv) && !tiff.starts_with("MM\0*"sv)) return {};
  const Tiff numbers(tiff);
  const std::size_t directory = numbers.number(4, 4);
  const std::size_t entries = numbers.number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    if (numbers.number(entry, 2) != kOrientationTag || numbers.number(entry + 2, 2) != kShort) continue;
    const std::uint32_t value = numbers.number(entry + 8, 2);
    if (value < 1 || value > 8) return {};
    return {.swapped = value >= 5,
            .rows_reversed = value == 3 || value == 4 || value == 7 || value == 8,
            .columns_reversed = value == 2 || value == 3 || value == 6 || value == 7};
  }
  return {};
}

Box stored_box(const Box& box, const Orientation& orientation, std::int64_t height, std::int64_t width) {
  if (orientation.swapped) std::swap(height, width);
  Box stored = box;
  if (orientation.rows_reversed) stored.top = static_cast<double>(height) - box.top - box.height;
  if (orientation.columns_reversed) stored.left = static_cast<double>(width) - box.left - box.width;
  if (orientation.swapped) {
    std::swap(stored.top, stored.left);
    std::swap(stored.height, stored.width);
  }
  return stored;
}

void write_upright(const Pixels& image, const Orientation& orientation, int channels, std::uint8_t* out) {
  const std::int64_t rows = orientation.swapped ? image.width : image.height;
  const std::int64_t columns = orientation.swapped ? image.height : image.width;
  std::int64_t down = orientation.swapped ? image.channels : image.width * image.channels;  // in bytes, as stored
  std::int64_t right = orientation.swapped ? image.width * image.channels : image.channels;
  const std::uint8_t* first = image.bytes.data();
  if (orientation.rows_reversed) first += (rows - 1) * down;
  if (orientation.columns_reversed) first += (columns - 1) * right;
  if (orientation.rows_reversed) down = -down;
  if (orientation.columns_reversed) right = -right;
  const bool greys = channels == 1 && image.channels == 3;
  for (int channel = 0; channel < channels; ++channel) {
    const std::int64_t within = image.channels == 1 ? 0 : channel;
    for (std::int64_t y = 0; y < rows; ++y) {
      const std::uint8_t* from = first + y * down + (greys ? 0 : within);
      for (std::int64_t x = 0; x < columns; ++x, from += right) *out++ = greys ? luma(from) : *from;
    }
  }
}

}  // namespace lockstep
