// Scaling a part of an image.
//
// The numbers are those of Pillow's Image.resize with BILINEAR and a box: a triangle as wide as two pixels of the
// result or of the image, whichever is more (Turkowski 1990, "Filters for common resampling tasks"), along rows and
// then along columns, in weights of 22 bits, each time rounded to a byte.
#pragma once

#include <cstdint>

#include "engine/data/images/Pixels.h"

namespace lockstep {

/// Makes `box` of `image` an image of `height` × `width`. Pixels that do not touch the box have no part in it. The box
/// must lie within the image and not be empty.
void resize(const Pixels& image, const Box& box, std::int64_t height, std::int64_t width, Pixels& out);

}  // namespace lockstep
