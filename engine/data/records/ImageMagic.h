// Whether bytes are an encoded image.
#pragma once

#include <string_view>

namespace lockstep {

/// By their first bytes: JPEG, PNG, GIF, WebP or BMP.
bool begins_image(std::string_view bytes);

}  // namespace lockstep
