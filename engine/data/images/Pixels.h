// An image in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockstep {

/// Rows of pixels from the top, each of `channels` bytes side by side: grey, or red, green and blue.
struct Pixels {
  std::int64_t height = 0;
  std::int64_t width = 0;
  int channels = 3;
  std::vector<std::uint8_t> bytes{};

  void resize(std::int64_t new_height, std::int64_t new_width, int new_channels) {
    height = new_height;
    width = new_width;
    channels = new_channels;
    bytes.resize(static_cast<std::size_t>(height * width * channels));
  }
  const std::uint8_t* row(std::int64_t y) const { return bytes.data() + y * width * channels; }
  std::uint8_t* row(std::int64_t y) { return bytes.data() + y * width * channels; }
};

/// Bytes that become an image of [channels, height, width].
struct ImageShape {
  int channels = 3;  ///< 1: grey; 3: red, green and blue
  std::int64_t height = 0;
  std::int64_t width = 0;

  std::vector<std::int64_t> sizes() const { return {channels, height, width}; }
};

/// A part of an image, in pixels from its upper left corner.
struct Box {
  double top = 0;
  double left = 0;
  double height = 0;
  double width = 0;
};

}  // namespace lockstep
