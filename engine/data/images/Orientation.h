// How a camera was held.
//
// Sources: CIPA DC-008 (Exif 2.32), 4.6.4 tag 274; TIFF 6.0, section 2 (header and directory).
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/data/images/Pixels.h"

namespace lockstep {

/// What is to be done with an image as it is stored, for it to be upright: exchange rows and columns, then reverse the
/// order of rows, of columns, or of both.
struct Orientation {
  bool swapped = false;
  bool rows_reversed = false;
  bool columns_reversed = false;
};

/// What the Exif data `tiff` say, which begin with a TIFF header or with "Exif" and two zeros before it. Upright when
/// they do not say it, or are damaged.
Orientation exif_orientation(std::string_view tiff);

/// The part of an image as it is stored, `height` × `width`, that becomes `box` of the upright one.
Box stored_box(const Box& box, const Orientation& orientation, std::int64_t height, std::int64_t width);

/// Writes an image as it is stored to `out`, upright, in planes of `channels`. Grey becomes red, green and blue that
/// are alike; those become grey by ITU-R 601-2's luma, 0.299, 0.587 and 0.114 of them.
void write_upright(const Pixels& image, const Orientation& orientation, int channels, std::uint8_t* out);

}  // namespace lockstep
