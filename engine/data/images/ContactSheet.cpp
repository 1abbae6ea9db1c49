#include "engine/data/images/ContactSheet.h"

#include <spng.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "common/Error.h"
#include "common/File.h"
#include "engine/data/images/Resize.h"

namespace lockstep {

namespace {

constexpr std::int64_t kMostPixels = 112;  // of a side of an image: nine of noise leave a report below 1 MB

// A picture's channels lie behind each other.
Pixels interleaved(const std::byte* picture, const Field& field) {
  const std::vector<std::int64_t>& sizes = field.sizes;
  const auto channels = static_cast<int>(sizes.size() == 2 ? 1 : std::min<std::int64_t>(sizes[0], 3));
  Pixels pixels;
  pixels.resize(sizes[sizes.size() - 2], sizes.back(), channels);
  const std::int64_t plane = pixels.height * pixels.width;
  for (std::int64_t i = 0; i < plane; ++i) {
    for (int c = 0; c < channels; ++c) {
      pixels.bytes[static_cast<std::size_t>(i * channels + c)] = static_cast<std::uint8_t>(picture[c * plane + i]);
    }
  }
  return pixels;
}

Pixels small(Pixels pixels) {
  const std::int64_t longest = std::max(pixels.height, pixels.width);
  if (longest <= kMostPixels) return pixels;
  const auto side = [&](std::int64_t size) { return std::max<std::int64_t>(1, size * kMostPixels / longest); };
  Pixels result;
  resize(pixels, {.height = static_cast<double>(pixels.height), .width = static_cast<double>(pixels.width)},
         side(pixels.height), side(pixels.width), result);
  return result;
}

}  // namespace

std::vector<std::int64_t> sheet_samples(const Dataset& dataset, std::int64_t most) {
  const std::int64_t count = std::min(most, dataset.size());
  std::vector<std::int64_t> samples;
  for (std::int64_t i = 0; i < count; ++i) samples.push_back(count == 1 ? 0 : i * (dataset.size() - 1) / (count - 1));
  return samples;
}

std::int64_t sheet_columns(std::size_t pictures) {
  return static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(pictures))));
}

Pixels contact_sheet(const Dataset& dataset, std::size_t field, std::int64_t most) {
  const Field& shown = dataset.spec().fields.at(field);
  const std::vector<std::int64_t> samples = sheet_samples(dataset, most);
  const auto count = static_cast<std::int64_t>(samples.size());
  const std::int64_t columns = sheet_columns(samples.size());
  std::vector<std::byte> bytes(shown.bytes());
  std::vector<std::byte*> places(dataset.spec().fields.size());
  places[field] = bytes.data();
  Pixels sheet;
  for (std::int64_t i = 0; i < count; ++i) {
    dataset.read({&samples[static_cast<std::size_t>(i)], 1}, places);
    const Pixels picture = small(interleaved(bytes.data(), shown));
    if (i == 0) {
      sheet.resize((count + columns - 1) / columns * (picture.height + 1) - 1, columns * (picture.width + 1) - 1,
                   picture.channels);
      std::ranges::fill(sheet.bytes, std::uint8_t{255});
    }
    const std::int64_t top = i / columns * (picture.height + 1);
    const std::int64_t left = i % columns * (picture.width + 1);
    for (std::int64_t y = 0; y < picture.height; ++y) {
      std::memcpy(sheet.row(top + y) + left * sheet.channels, picture.row(y),
                  static_cast<std::size_t>(picture.width * picture.channels));
    }
  }
  return sheet;
}

std::string png_of(const Pixels& pixels) {
  const std::unique_ptr<spng_ctx, decltype(&::spng_ctx_free)> context(::spng_ctx_new(SPNG_CTX_ENCODER),
                                                                      &::spng_ctx_free);
  spng_ihdr header{};
  header.width = static_cast<std::uint32_t>(pixels.width);
  header.height = static_cast<std::uint32_t>(pixels.height);
  header.bit_depth = 8;
  header.color_type = pixels.channels == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR;
  ::spng_set_ihdr(context.get(), &header);
  ::spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1);
  int failed =
      ::spng_encode_image(context.get(), pixels.bytes.data(), pixels.bytes.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
  std::size_t count = 0;
  const std::unique_ptr<void, decltype(&std::free)> bytes(
      failed != 0 ? nullptr : ::spng_get_png_buffer(context.get(), &count, &failed), &std::free);
  if (failed != 0) throw SystemError("cannot make a PNG: " + std::string(::spng_strerror(failed)));
  return {static_cast<const char*>(bytes.get()), count};
}

void write_png(const Pixels& pixels, const std::filesystem::path& path) {
  OutputFile file(path);
  file.write(png_of(pixels));
  file.close();
}

}  // namespace lockstep
