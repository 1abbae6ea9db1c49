// Images of bytes to a network's input: crop, horizontal flip and normalisation in one pass, channels last.
//
// Source: torchvision's RandomCrop(padding) (fill 0), RandomHorizontalFlip, ToTensor and Normalize, in this order:
//   y[image, row, column, c] = (pixel / 255 - mean[c]) / deviation[c], computed as pixel · a[c] + b[c]
// where pixel is the input's at (top + row, left + column), mirrored within the crop when flipped, and 0 outside.
#pragma once

#include <array>
#include <cstdint>

#include "common/SplitMix.h"
#include "kernels/ElementTypes.h"
#include "kernels/Stream.h"

namespace lockstep::kernels {

/// What one image's crop is: its first row and column in the input, outside of it where negative or past its edge.
struct CropFlip {
  std::int32_t top, left;
  bool flip;
};

/// The sizes that crops are drawn for: 0 ≤ out_height ≤ height + 2 padding, and so for the width.
struct CropSizes {
  std::int32_t height, width, out_height, out_width, padding;
};

/// Every crop of the padded image is as likely, and with `flips` every second image is flipped. The result follows from
/// the arguments alone, so it is the same on every machine, rank and thread.
constexpr CropFlip random_crop_flip(std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample,
                                    const CropSizes& sizes, bool flips) {
  const std::uint64_t key = splitmix(splitmix(splitmix(seed) ^ epoch) ^ sample);
  const auto offset = [&](std::uint64_t draw, std::int32_t size, std::int32_t out_size) {
    const std::int64_t choices = std::int64_t{size} + 2 * std::int64_t{sizes.padding} - out_size + 1;
    const std::uint64_t chosen = (splitmix(key ^ draw) >> 32U) * static_cast<std::uint64_t>(choices) >> 32U;
    return static_cast<std::int32_t>(static_cast<std::int64_t>(chosen) - sizes.padding);
  };
  return {offset(1, sizes.height, sizes.out_height), offset(2, sizes.width, sizes.out_width),
          flips && splitmix(key ^ 3) >> 63U != 0};
}

inline constexpr int kMostChannels = 4;

/// pixel · a[c] + b[c]
struct Normalisation {
  std::array<float, kMostChannels> a, b;
};

constexpr Normalisation normalisation(const std::array<float, kMostChannels>& mean,
                                      const std::array<float, kMostChannels>& deviation) {
  Normalisation result{};
  for (std::size_t c = 0; c < kMostChannels; ++c) {
    result.a[c] = static_cast<float>(1 / (255.0 * deviation[c]));
    result.b[c] = static_cast<float>(-double{mean[c]} / deviation[c]);
  }
  return result;
}

template <typename Element>
struct ImageAugment {
  const std::uint8_t* images;  ///< [batch, height, width, channels]
  const CropFlip* crops;       ///< [batch]
  Element* y;                  ///< [batch, out_height, out_width, channels]
  std::int64_t batch;
  std::int32_t height, width, out_height, out_width;
  std::int32_t channels;  ///< 1 to kMostChannels
  Normalisation normalisation;
  /// Of images of one channel: each is a channel of a larger one, of which so many lie behind each other, and is
  /// normalised as that channel, 1 to kMostChannels of them.
  std::int32_t planes = 1;
};

/// For Element in float, double, BFloat16, Half.
template <typename Element>
void image_augment(const ImageAugment<Element>& args);
template <typename Element>
void image_augment(const ImageAugment<Element>& args, Stream stream);

}  // namespace lockstep::kernels
