#include "engine/data/images/ImageMaker.h"

#include "engine/data/images/Crop.h"
#include "engine/data/images/EncodedImage.h"
#include "engine/data/images/Resize.h"

namespace lockstep {

namespace {

// A pixel of an image that was divided is made of `shrink` × `shrink` pixels; the last ones may lie beyond its edges.
Box divided(const Box& box, int shrink) {
  const double part = 1.0 / shrink;
  return {.top = box.top * part, .left = box.left * part, .height = box.height * part, .width = box.width * part};
}

}  // namespace

Box ImageMaker::box_of(std::int64_t height, std::int64_t width, const Draw* draw, std::int64_t sample) const {
  if (crop_ == ImageCrop::kStretch) return {.height = static_cast<double>(height), .width = static_cast<double>(width)};
  if (crop_ == ImageCrop::kCenter || draw == nullptr) return center_box(height, width, shape_);
  return random_box(height, width, SampleChance(*draw, sample, SampleChance::Use::kCrop));
}

int ImageMaker::shrink_for(const Box& box) const {
  for (const int shrink : {8, 4, 2}) {
    if (box.height >= static_cast<double>(shape_.height * shrink) &&
        box.width >= static_cast<double>(shape_.width * shrink)) {
      return shrink;
    }
  }
  return 1;
}

void ImageMaker::make(std::string_view encoded, const Draw* draw, std::int64_t sample, std::byte* out) const {
  thread_local Pixels pixels;
  thread_local Pixels resized;
  const EncodedImage image(encoded);
  const ImageHeader& stored = image.header();
  const Box box = box_of(image.upright_height(), image.upright_width(), draw, sample);
  const int shrink = image.shrinks() ? shrink_for(box) : 1;
  image.decode(shrink, pixels);
  const bool swapped = stored.orientation.swapped;
  resize(pixels, divided(stored_box(box, stored.orientation, stored.height, stored.width), shrink),
         swapped ? shape_.width : shape_.height, swapped ? shape_.height : shape_.width, resized);
  write_upright(resized, stored.orientation, shape_.channels, reinterpret_cast<std::uint8_t*>(out));
}

ImageShape shape_of_image(std::string_view encoded) {
  const EncodedImage image(encoded);
  return {.channels = image.header().channels, .height = image.upright_height(), .width = image.upright_width()};
}

}  // namespace lockstep
