#include "kernels/image_augment/ImageAugment.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/CpuElements.h"

namespace lockstep::kernels {

namespace {

// A row is handled in pieces whose bytes and coefficients stay in the first-level cache; whole pixels for every number
// of channels.
constexpr std::int64_t kPieceElements = 768;

/// The normalisation of a piece, element by element: what a vectorised loop can read.
template <typename Real>
struct Coefficients {
  /// From the channel `first` on.
  Coefficients(const Normalisation& normalisation, std::int64_t first, std::int64_t channels) {
    for (std::int64_t i = 0; i < kPieceElements; ++i) {
      a[i] = normalisation.a[static_cast<std::size_t>(first + i % channels)];
      b[i] = normalisation.b[static_cast<std::size_t>(first + i % channels)];
    }
  }
  Real a[kPieceElements], b[kPieceElements];
};

template <int kChannels>
LOCKSTEP_INLINE void copy_mirrored(std::uint8_t* __restrict to, const std::uint8_t* __restrict from,
                                   std::int64_t pixels) {
  const auto copy = [&](std::int64_t pixel, std::size_t bytes) __attribute__((always_inline)) {
    std::memcpy(to + pixel * kChannels, from + (pixels - 1 - pixel) * kChannels, bytes);
  };
  if constexpr (kChannels == 3) {
    // Four bytes in one go, where the fourth exists in `from`, and is overwritten in `to` by the next pixel.
    if (pixels > 0) copy(0, 3);
    for (std::int64_t pixel = 1; pixel < pixels - 1; ++pixel) copy(pixel, 4);
    if (pixels > 1) copy(pixels - 1, 3);
  } else {
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) copy(pixel, kChannels);
  }
}

/// One row of one image.
template <int kChannels, typename Element>
LOCKSTEP_INLINE void augment(const ImageAugment<Element>& args, const Coefficients<Arithmetic<Element>>& coefficients,
                             std::int64_t image, std::int64_t row) {
  constexpr std::int64_t kPiecePixels = kPieceElements / kChannels;
  const CropFlip crop = args.crops[image];
  const std::int64_t source_row = crop.top + row;
  const bool has_row = source_row >= 0 && source_row < args.height;
  const std::uint8_t* source =
      has_row ? args.images + (image * args.height + source_row) * args.width * kChannels : nullptr;
  Element* y = args.y + (image * args.out_height + row) * args.out_width * kChannels;
  for (std::int64_t first = 0; first < args.out_width; first += kPiecePixels) {
    const std::int64_t pixels = std::min(kPiecePixels, args.out_width - first);
    const std::int64_t begin = crop.left + (crop.flip ? args.out_width - first - pixels : first);
    const std::int64_t inside_begin = std::clamp<std::int64_t>(begin, 0, args.width);
    const std::int64_t inside_end = std::clamp<std::int64_t>(begin + pixels, 0, args.width);
    const std::int64_t inside = has_row ? inside_end - inside_begin : 0;
    std::uint8_t buffer[kPieceElements];
    const std::uint8_t* __restrict bytes = buffer;
    if (inside < pixels) std::memset(buffer, 0, static_cast<std::size_t>(pixels * kChannels));
    if (crop.flip && inside > 0) {
      copy_mirrored<kChannels>(buffer + (begin + pixels - inside_end) * kChannels, source + inside_begin * kChannels,
                               inside);
    } else if (inside == pixels) {
      bytes = source + begin * kChannels;
    } else if (inside > 0) {
      std::memcpy(buffer + (inside_begin - begin) * kChannels, source + inside_begin * kChannels,
                  static_cast<std::size_t>(inside * kChannels));
    }
    Element* __restrict to = y + first * kChannels;
    const Arithmetic<Element>* __restrict a = coefficients.a;
    const Arithmetic<Element>* __restrict b = coefficients.b;
    for (std::int64_t i = 0; i < pixels * kChannels; ++i) {
      to[i] = from_arithmetic<Element>(static_cast<Arithmetic<Element>>(bytes[i]) * a[i] + b[i]);
    }
  }
}

#define LOCKSTEP_ROW(Element)                                                                                       \
  LOCKSTEP_MULTIVERSION void augment_row(const ImageAugment<Element>& args,                                         \
                                         const Coefficients<Arithmetic<Element>>& coefficients, std::int64_t image, \
                                         std::int64_t row) {                                                        \
    switch (args.channels) {                                                                                        \
      case 1:                                                                                                       \
        return augment<1>(args, coefficients, image, row);                                                          \
      case 2:                                                                                                       \
        return augment<2>(args, coefficients, image, row);                                                          \
      case 3:                                                                                                       \
        return augment<3>(args, coefficients, image, row);                                                          \
      default:                                                                                                      \
        return augment<4>(args, coefficients, image, row);                                                          \
    }                                                                                                               \
  }
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_ROW)
#undef LOCKSTEP_ROW

}  // namespace

template <typename Element>
void image_augment(const ImageAugment<Element>& args) {
  std::vector<Coefficients<Arithmetic<Element>>> coefficients;  // by plane
  for (std::int32_t plane = 0; plane < args.planes; ++plane) {
    coefficients.emplace_back(args.normalisation, plane, args.channels);
  }
  const std::int64_t rows = args.batch * args.out_height;
#pragma omp parallel for schedule(static) if (rows * args.out_width * args.channels > kSerialElements)
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t image = row / args.out_height;
    augment_row(args, coefficients[static_cast<std::size_t>(image % args.planes)], image, row % args.out_height);
  }
}

#define LOCKSTEP_INSTANTIATE(Element) template void image_augment(const ImageAugment<Element>&);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels
