#include "engine/train/Pixels.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "engine/device/KernelForm.h"
#include "kernels/image_augment/ImageAugment.h"

namespace lockstep {

namespace {

// One for all channels, or one for each.
std::array<float, kernels::kMostChannels> of_channels(const std::vector<double>& given) {
  std::array<float, kernels::kMostChannels> values{};
  for (std::size_t c = 0; c < values.size(); ++c) values[c] = static_cast<float>(given[std::min(c, given.size() - 1)]);
  return values;
}

}  // namespace

at::Tensor normalized_pixels(const at::Tensor& bytes, const Normalization& normalization) {
  const at::Tensor pixels = bytes.contiguous();
  const at::Tensor result = at::empty(bytes.sizes(), bytes.options().dtype(at::kFloat));
  // A plane is what is normalized alike: an image, or one of its channels, which lie behind each other. Each is one row
  // of pixels; crops of zeros leave it as it is.
  const auto planes = static_cast<std::int32_t>(normalization.parts());
  const std::int64_t images = bytes.size(0) * planes;
  const auto crop_bytes = static_cast<std::int64_t>(sizeof(kernels::CropFlip));
  const at::Tensor crops = at::zeros({images * crop_bytes}, bytes.options());
  const auto width = static_cast<std::int32_t>(bytes.numel() / images);
  with_kernel_form(bytes.device(), [&](auto... stream) {
    kernels::image_augment<float>(
        {.images = pixels.const_data_ptr<std::uint8_t>(),
         .crops = static_cast<const kernels::CropFlip*>(crops.const_data_ptr()),
         .y = result.mutable_data_ptr<float>(),
         .batch = images,
         .height = 1,
         .width = width,
         .out_height = 1,
         .out_width = width,
         .channels = 1,
         .normalisation = kernels::normalisation(of_channels(normalization.mean), of_channels(normalization.std)),
         .planes = planes},
        stream...);
  });
  return result;
}

}  // namespace lockstep
