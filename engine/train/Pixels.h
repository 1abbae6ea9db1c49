// Bytes of images to real numbers, on the device that computes on them.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/data/Transform.h"

namespace lockstep {

/// (byte / 255 - mean) / std of uint8 `bytes` [n, …] as float32, of up to kernels::kMostChannels parts of each sample,
/// by the kernel image_augment: in float32, so that the last bits may differ from those of Transform, which computes in
/// float64. Enqueued on the current stream.
at::Tensor normalized_pixels(const at::Tensor& bytes, const Normalization& normalization);

}  // namespace lockstep
