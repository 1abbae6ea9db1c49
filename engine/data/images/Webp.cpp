#include "engine/data/images/Webp.h"

#include <webp/decode.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>

#include "common/Error.h"
#include "engine/files/NumberAt.h"

namespace lockstep {

namespace {

const std::uint8_t* data_of(std::string_view bytes) { return reinterpret_cast<const std::uint8_t*>(bytes.data()); }

void require(VP8StatusCode code) {
  if (code == VP8_STATUS_OK) return;
  if (code == VP8_STATUS_OUT_OF_MEMORY) throw std::bad_alloc();
  const bool ends = code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED;
  throw InputError((ends ? std::string("is truncated") : "is damaged (libwebp's status " + std::to_string(code) + ")") +
                   "; copy it again, or convert it");
}

// Behind the file's header of 12 bytes, chunks: name, length, content, and a zero where that is odd.
Orientation webp_orientation(std::string_view bytes) {
  for (std::size_t at = 12; at + 8 <= bytes.size();) {
    const std::size_t length = number_at<std::uint32_t>(bytes.data() + at + 4);
    if (length > bytes.size() - at - 8) break;
    if (bytes.substr(at, 4) == "EXIF") return exif_orientation(bytes.substr(at + 8, length));
    at += 8 + length + length % 2;
  }
  return {};
}

}  // namespace

ImageHeader read_webp_header(std::string_view bytes) {
  WebPBitstreamFeatures about;
  require(::WebPGetFeatures(data_of(bytes), bytes.size(), &about));
  if (about.has_animation != 0) throw InputError("is animated; expected a single image: take one of its frames");
  return {.height = about.height, .width = about.width, .channels = 3, .orientation = webp_orientation(bytes)};
}

void decode_webp(std::string_view bytes, const ImageHeader& header, int /*shrink*/, Pixels& pixels) {
  pixels.resize(header.height, header.width, 3);
  WebPDecoderConfig config;
  if (::WebPInitDecoderConfig(&config) == 0) throw InternalError("libwebp is another version than its header");
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = pixels.bytes.data();
  config.output.u.RGBA.stride = static_cast<int>(pixels.width * 3);
  config.output.u.RGBA.size = pixels.bytes.size();
  require(::WebPDecode(data_of(bytes), bytes.size(), &config));
}

}  // namespace lockstep
