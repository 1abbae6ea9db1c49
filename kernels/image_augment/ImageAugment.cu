#include "kernels/image_augment/ImageAugment.h"

#include "kernels/Cuda.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

constexpr int kThreads = 256;

template <int kVector, int kChannels, typename Element>
__global__ void __launch_bounds__(kThreads) augment_kernel(ImageAugment<Element> args, std::int64_t blocks_per_image) {
  using Real = Arithmetic<Element>;
  const std::int64_t image = blockIdx.x / blocks_per_image;
  const std::int64_t row_elements = static_cast<std::int64_t>(args.out_width) * kChannels;
  const std::int64_t first = (blockIdx.x % blocks_per_image * kThreads + threadIdx.x) * kVector;
  if (first >= args.out_height * row_elements) return;
  const CropFlip crop = args.crops[image];
  const std::uint8_t* source = args.images + image * args.height * args.width * kChannels;
  std::int64_t row = crop.top + first / row_elements;
  int column = static_cast<int>(first % row_elements) / kChannels;
  const int first_channel = static_cast<int>(first % kChannels);
  // The coefficients from this channel on: found once, and by comparing, since registers have no index.
  Real all_a[kChannels], all_b[kChannels], a[kChannels], b[kChannels];
  for (int c = 0; c < kChannels; ++c) {
    all_a[c] = args.normalisation.a[c];
    all_b[c] = args.normalisation.b[c];
  }
  if constexpr (kChannels == 1) {
    const int plane = static_cast<int>(image % args.planes);
    const auto of_plane =
        [plane](const auto& all) {  // no `if`: a store under a condition would make an array in memory of it
          const float low = plane == 0 ? all[0] : all[1];
          const float high = plane == 2 ? all[2] : all[3];
          return plane < 2 ? low : high;
        };
    all_a[0] = of_plane(args.normalisation.a);
    all_b[0] = of_plane(args.normalisation.b);
  }
  for (int c = 0; c < kChannels; ++c) {
    for (int start = 0; start < kChannels; ++start) {
      if (start == 0 || start == first_channel) {
        a[c] = all_a[(start + c) % kChannels];
        b[c] = all_b[(start + c) % kChannels];
      }
    }
  }
  int channel = first_channel;
  Vector<Element, kVector> values;
  for (int v = 0; v < kVector; ++v) {
    const std::int64_t source_column =
        static_cast<std::int64_t>(crop.left) + (crop.flip ? args.out_width - 1 - column : column);
    const bool inside = row >= 0 && row < args.height && source_column >= 0 && source_column < args.width;
    const int pixel = inside ? source[(row * args.width + source_column) * kChannels + channel] : 0;
    values.values[v] = from_arithmetic<Element>(static_cast<Real>(pixel) * a[v % kChannels] + b[v % kChannels]);
    if (++channel == kChannels) {
      channel = 0;
      if (++column == args.out_width) {
        column = 0;
        ++row;
      }
    }
  }
  store(args.y + image * args.out_height * row_elements + first, values);
}

template <int kChannels, typename Element>
void augment(const ImageAugment<Element>& args, Stream stream) {
  constexpr int kVector = kVectorLength<Element>;
  const std::int64_t image_elements = static_cast<std::int64_t>(args.out_height) * args.out_width * kChannels;
  const bool wide = image_elements % kVector == 0 && is_aligned(args.y);
  const std::int64_t blocks_per_image = divide_up(image_elements, kThreads * (wide ? kVector : 1));
  launch("image_augment", wide ? augment_kernel<kVector, kChannels, Element> : augment_kernel<1, kChannels, Element>,
         args.batch * blocks_per_image, kThreads, stream, args, blocks_per_image);
}

}  // namespace

template <typename Element>
void image_augment(const ImageAugment<Element>& args, Stream stream) {
  switch (args.channels) {
    case 1:
      return augment<1>(args, stream);
    case 2:
      return augment<2>(args, stream);
    case 3:
      return augment<3>(args, stream);
    default:
      return augment<4>(args, stream);
  }
}

#define LOCKSTEP_INSTANTIATE(Element) template void image_augment(const ImageAugment<Element>&, Stream);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)

}  // namespace lockstep::kernels
