// From an encoded image to a sample.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/data/ChannelFiles.h"
#include "engine/data/Draw.h"
#include "engine/data/images/Pixels.h"

namespace lockstep {

/// Decodes an image (EncodedImage), turns it upright, cuts and scales it (Crop, resize). A JPEG is decoded at a half, a
/// quarter or an eighth of its size where what is cut out of it stays as large as the sample. Thread-safe.
class ImageMaker {
 public:
  explicit ImageMaker(const ImageShape& shape, ImageCrop crop = ImageCrop::kCenter) : shape_(shape), crop_(crop) {}

  const ImageShape& shape() const { return shape_; }
  /// Writes the bytes of [channels, height, width] to `out`. `draw`: null for a sample that is not varied. Throws
  /// InputError, which does not say where the image lies.
  void make(std::string_view encoded, const Draw* draw, std::int64_t sample, std::byte* out) const;

 private:
  Box box_of(std::int64_t height, std::int64_t width, const Draw* draw, std::int64_t sample) const;
  /// The most by which an image can be divided so that `box` stays as large as the sample.
  int shrink_for(const Box& box) const;

  ImageShape shape_;
  ImageCrop crop_;
};

/// The shape of an image that is only turned upright. Throws InputError for what is none.
ImageShape shape_of_image(std::string_view encoded);

}  // namespace lockstep
