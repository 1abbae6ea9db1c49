// JPEG by TurboJPEG. What it becomes: EncodedImage.h.
#pragma once

#include <string_view>

#include "engine/data/images/EncodedImage.h"

namespace lockstep {

/// Throws InputError, that goes on from "the JPEG image".
ImageHeader read_jpeg_header(std::string_view bytes);
/// The same. `header`: what the bytes say; `shrink`: EncodedImage::decode.
void decode_jpeg(std::string_view bytes, const ImageHeader& header, int shrink, Pixels& pixels);

}  // namespace lockstep
