// Images as files hold them, written by the libraries that read them.
#pragma once

#include <spng.h>
#include <turbojpeg.h>
#include <webp/encode.h>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "common/SplitMix.h"
#include "engine/data/images/Pixels.h"

namespace lockstep {

/// Noise, which no format makes smaller.
inline Pixels test_pixels(std::int64_t height, std::int64_t width, int channels = 3) {
  Pixels pixels;
  pixels.resize(height, width, channels);
  for (std::size_t i = 0; i < pixels.bytes.size(); ++i) pixels.bytes[i] = static_cast<std::uint8_t>(splitmix(i));
  return pixels;
}

inline std::string jpeg_of(const Pixels& pixels, int flags = 0) {
  const tjhandle handle = ::tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long count = 0;
  const bool grey = pixels.channels == 1;
  if (::tjCompress2(handle, pixels.bytes.data(), static_cast<int>(pixels.width), 0, static_cast<int>(pixels.height),
                    grey ? TJPF_GRAY : TJPF_RGB, &bytes, &count, grey ? TJSAMP_GRAY : TJSAMP_444, 90, flags) != 0) {
    throw std::runtime_error(::tjGetErrorStr2(handle));
  }
  const std::string jpeg(reinterpret_cast<const char*>(bytes), count);
  ::tjFree(bytes);
  ::tjDestroy(handle);
  return jpeg;
}

inline std::string png_of(const Pixels& pixels) {
  spng_ctx* context = ::spng_ctx_new(SPNG_CTX_ENCODER);
  spng_ihdr about{};
  about.width = static_cast<std::uint32_t>(pixels.width);
  about.height = static_cast<std::uint32_t>(pixels.height);
  about.bit_depth = 8;
  about.color_type = pixels.channels == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR;
  ::spng_set_ihdr(context, &about);
  ::spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
  int failed =
      ::spng_encode_image(context, pixels.bytes.data(), pixels.bytes.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
  std::size_t count = 0;
  void* bytes = failed != 0 ? nullptr : ::spng_get_png_buffer(context, &count, &failed);
  if (failed != 0) throw std::runtime_error(::spng_strerror(failed));
  const std::string png(static_cast<const char*>(bytes), count);
  std::free(bytes);
  ::spng_ctx_free(context);
  return png;
}

/// Lossless.
inline std::string webp_of(const Pixels& pixels) {
  std::uint8_t* bytes = nullptr;
  const std::size_t count =
      ::WebPEncodeLosslessRGB(pixels.bytes.data(), static_cast<int>(pixels.width), static_cast<int>(pixels.height),
                              static_cast<int>(pixels.width * 3), &bytes);
  if (count == 0) throw std::runtime_error("WebPEncodeLosslessRGB failed");
  const std::string webp(reinterpret_cast<const char*>(bytes), count);
  ::WebPFree(bytes);
  return webp;
}

}  // namespace lockstep
