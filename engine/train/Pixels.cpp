#include "engine/train/Pixels.h"

#include <ATen/Functions.h>

#include <array>
#include <cstdint>

#include "engine/device/KernelForm.h"
#include "kernels/image_augment/ImageAugment.h"

namespace lockstep {

namespace {

std::array<float, kernels::kMostChannels> all_channels(double value) {
  std::array<float, kernels::kMostChannels> values{};
  values.fill(static_cast<float>(value));
  return values;
}

}  // namespace

at::Tensor normalized_pixels(const at::Tensor& bytes, const Normalization& normalization) {
  const at::Tensor pixels = bytes.contiguous();
  const at::Tensor result = at::empty(bytes.sizes(), bytes.options().dtype(at::kFloat));
  const std::int64_t images = bytes.size(0);
  // All channels are normalized alike, so each image is one row of pixels; crops of zeros leave it as it is.
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
         .normalisation = kernels::normalisation(all_channels(normalization.mean), all_channels(normalization.std))},
        stream...);
  });
  return result;
}

}  // namespace lockstep
