#include "engine/data/images/Png.h"

#include <spng.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr std::size_t kMostChunkBytes = std::size_t{1} << 26;

struct Free {
  void operator()(spng_ctx* context) const { ::spng_ctx_free(context); }
};

void require(int code) {
  if (code == SPNG_EMEM) throw std::bad_alloc();
  if (code != 0) {
    throw InputError(std::string("is damaged (") + ::spng_strerror(code) + "); copy it again, or convert it");
  }
}

/// Decodes one image.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : context_(::spng_ctx_new(0)) {
    if (!context_) throw std::bad_alloc();
    require(::spng_set_crc_action(context_.get(), SPNG_CRC_ERROR, SPNG_CRC_DISCARD));
    require(::spng_set_chunk_limits(context_.get(), kMostChunkBytes, kMostChunkBytes));
    require(::spng_set_png_buffer(context_.get(), bytes.data(), bytes.size()));
    require(::spng_get_ihdr(context_.get(), &about_));
  }

  const spng_ihdr& about() const { return about_; }
  bool grey() const {
    return about_.color_type == SPNG_COLOR_TYPE_GRAYSCALE || about_.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
  }
  void decode(Pixels& pixels) {
    // What libspng has for grey alone: of at most 8 bits, without alpha.
    const bool alone = about_.color_type == SPNG_COLOR_TYPE_GRAYSCALE && about_.bit_depth <= 8;
    pixels.resize(about_.height, about_.width, alone ? 1 : 3);
    require(::spng_decode_image(context_.get(), pixels.bytes.data(), pixels.bytes.size(),
                                alone ? SPNG_FMT_G8 : SPNG_FMT_RGB8, 0));
  }

 private:
  std::unique_ptr<spng_ctx, Free> context_;
  spng_ihdr about_{};
};

std::uint32_t big_endian_32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8U | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

// Behind the signature, chunks: length, name, content, checksum.
Orientation png_orientation(std::string_view bytes) {
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    const std::size_t length = big_endian_32(bytes, at);
    if (length > bytes.size() - at - 12) break;
    if (bytes.substr(at + 4, 4) == "eXIf") return exif_orientation(bytes.substr(at + 8, length));
    at += 12 + length;
  }
  return {};
}

}  // namespace

ImageHeader read_png_header(std::string_view bytes) {
  const Reader reader(bytes);
  return {.height = reader.about().height,
          .width = reader.about().width,
          .channels = reader.grey() ? 1 : 3,
          .orientation = png_orientation(bytes)};
}

void decode_png(std::string_view bytes, const ImageHeader& /*header*/, int /*shrink*/, Pixels& pixels) {
  Reader(bytes).decode(pixels);
}

}  // namespace lockstep
