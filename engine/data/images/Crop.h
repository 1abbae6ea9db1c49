// Which part of an image becomes a sample.
#pragma once

#include <cstdint>

#include "engine/data/Draw.h"
#include "engine/data/images/Pixels.h"

namespace lockstep {

/// The largest part of an image of `height` × `width` that has the proportions of `shape`, in whole pixels, from its
/// middle.
Box center_box(std::int64_t height, std::int64_t width, const ImageShape& shape);

/// A part of 8 to 100 % of its area, of 3:4 to 4:3, both uniform, the latter in its logarithm, in whole pixels; when
/// ten of them are larger than the image, the middle of it in the nearest of these proportions. torchvision's
/// RandomResizedCrop chooses so, by other random numbers.
Box random_box(std::int64_t height, std::int64_t width, SampleChance chance);

}  // namespace lockstep
