// WebP by libwebp. What it becomes: EncodedImage.h.
#pragma once

#include <string_view>

#include "engine/data/images/EncodedImage.h"

namespace lockstep {

/// Throws InputError, that goes on from "the WebP image".
ImageHeader read_webp_header(std::string_view bytes);
/// The same. `header`: what the bytes say; nothing is shrunk.
void decode_webp(std::string_view bytes, const ImageHeader& header, int shrink, Pixels& pixels);

}  // namespace lockstep
