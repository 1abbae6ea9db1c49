#include "engine/data/images/ImageDataset.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/SampledDigest.h"
#include "engine/data/images/Crop.h"
#include "engine/data/images/EncodedImage.h"
#include "engine/data/images/Orientation.h"
#include "engine/data/images/Resize.h"

namespace lockstep {

namespace {

constexpr std::int64_t kNoted = 64;  // images whose sizes are told

// An error about an image, with where it lies.
template <typename Do>
auto at_place(const ImageSource& source, std::int64_t sample, const Do& run) {
  try {
    return run();
  } catch (const InputError& error) {
    throw InputError(source.place(sample) + ": " + error.what());
  }
}

/// Calls `visit` with an image of a source.
template <typename Visitor>
auto visit_image(const ImageSource& source, std::int64_t sample, const Visitor& visit) {
  thread_local std::vector<std::byte> bytes;
  source.read(sample, bytes);
  return at_place(source, sample, [&] {
    return visit(EncodedImage(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
  });
}

ImageShape shape_of(const EncodedImage& image) {
  return {.channels = image.header().channels, .height = image.upright_height(), .width = image.upright_width()};
}

// The most by which an image can be divided so that `box` stays as large as `shape`.
int shrink_for(const Box& box, std::int64_t height, std::int64_t width) {
  for (const int shrink : {8, 4, 2}) {
    if (box.height >= static_cast<double>(height * shrink) && box.width >= static_cast<double>(width * shrink)) {
      return shrink;
    }
  }
  return 1;
}

// A pixel of an image that was divided is made of `shrink` × `shrink` pixels; the last ones may lie beyond its edges.
Box divided(const Box& box, int shrink) {
  const double part = 1.0 / shrink;
  return {.top = box.top * part, .left = box.left * part, .height = box.height * part, .width = box.width * part};
}

}  // namespace

ImageDataset::ImageDataset(const std::string& origin, std::unique_ptr<const ImageSource> source,
                           std::vector<std::string> categories, const ImageOptions& options)
    : source_(std::move(source)), crop_(options.crop) {
  if (source_->size() == 0) throw InputError(origin + " holds no image");
  shape_ = options.shape ? *options.shape : visit_image(*source_, 0, shape_of);
  spec_.fields.push_back({.name = "image",
                          .type = ElementType::kUint8,
                          .sizes = {shape_.channels, shape_.height, shape_.width},
                          .large = true,
                          .origin = origin});
  spec_.fields.push_back({.name = "target",
                          .type = ElementType::kInt64,
                          .bound = static_cast<std::int64_t>(categories.size()),
                          .categories = std::move(categories),
                          .origin = origin});
  Digest digest;
  update_layout(digest, spec_.fields);
  source_->update(digest);
  digest_ = digest.hex();
}

std::string ImageDataset::place(std::size_t /*field*/, std::int64_t sample) const { return source_->place(sample); }

std::string ImageDataset::note() const {
  std::set<std::pair<std::int64_t, std::int64_t>> sizes;
  const std::int64_t looked_at = std::min(kNoted, size());
  for (std::int64_t i = 0; i < looked_at; ++i) {
    const ImageShape found =
        visit_image(*source_, i * (size() - 1) / std::max<std::int64_t>(looked_at - 1, 1), shape_of);
    sizes.emplace(found.height, found.width);
  }
  const auto text = [](const std::pair<std::int64_t, std::int64_t>& size) {
    return std::to_string(size.first) + "×" + std::to_string(size.second);
  };
  const std::string made = text({shape_.height, shape_.width});
  return "images of " +
         (sizes.size() == 1 ? text(*sizes.begin()) : text(*sizes.begin()) + " to " + text(*sizes.rbegin())) +
         (looked_at < size() ? " (" + std::to_string(looked_at) + " looked at)" : "") + ", made " + made;
}

void ImageDataset::read_image(std::int64_t sample, const Draw* draw, std::uint8_t* out) const {
  visit_image(*source_, sample, [&](const EncodedImage& image) {
    thread_local Pixels pixels;
    thread_local Pixels resized;
    const ImageHeader& stored = image.header();
    const std::int64_t height = image.upright_height();
    const std::int64_t width = image.upright_width();
    Box box = {.height = static_cast<double>(height), .width = static_cast<double>(width)};
    if (crop_ == ImageCrop::kRandom && draw != nullptr) {
      box = random_box(height, width, SampleChance(*draw, sample, SampleChance::Use::kCrop));
    } else if (crop_ != ImageCrop::kStretch) {
      box = center_box(height, width, shape_);
    }
    const int shrink = image.shrinks() ? shrink_for(box, shape_.height, shape_.width) : 1;
    image.decode(shrink, pixels);
    box = divided(stored_box(box, stored.orientation, stored.height, stored.width), shrink);
    const bool swapped = stored.orientation.swapped;
    resize(pixels, box, swapped ? shape_.width : shape_.height, swapped ? shape_.height : shape_.width, resized);
    write_upright(resized, stored.orientation, shape_.channels, out);
  });
}

void ImageDataset::read_all(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                            const Draw* draw) const {
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (fields[0] != nullptr) {
      read_image(samples[i], draw, reinterpret_cast<std::uint8_t*>(fields[0] + i * spec_.fields[0].bytes()));
    }
    if (fields[1] == nullptr) continue;
    const std::int64_t label = source_->label(samples[i]);
    std::copy_n(reinterpret_cast<const std::byte*>(&label), sizeof label, fields[1] + i * sizeof label);
  }
}

void ImageDataset::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  read_all(samples, fields, nullptr);
}

void ImageDataset::read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                               const Draw& draw) const {
  read_all(samples, fields, &draw);
}

}  // namespace lockstep
