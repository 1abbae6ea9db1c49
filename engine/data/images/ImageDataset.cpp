#include "engine/data/images/ImageDataset.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/SampledDigest.h"

namespace lockstep {

namespace {

constexpr std::int64_t kNoted = 64;  // images whose sizes are told

/// Calls `visit` with the bytes of an image of a source. Its errors say where that lies.
template <typename Visitor>
auto visit_image(const ImageSource& source, std::int64_t sample, const Visitor& visit) {
  thread_local std::vector<std::byte> bytes;
  source.read(sample, bytes);
  try {
    return visit(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  } catch (const InputError& error) {
    throw InputError(source.place(sample) + ": " + error.what());
  }
}

// Of an image; nothing where it is none and that may be.
std::optional<ImageShape> shape_of(const ImageSource& source, std::int64_t sample, bool may_be_bad) {
  try {
    return visit_image(source, sample, shape_of_image);
  } catch (const InputError&) {
    if (!may_be_bad) throw;
    return std::nullopt;
  }
}

// Of the first image.
ImageShape first_shape(const ImageSource& source, std::int64_t most_bad) {
  const std::int64_t last = std::min(most_bad, source.size() - 1);
  for (std::int64_t i = 0; i < last; ++i) {
    if (const auto shape = shape_of(source, i, true)) return *shape;
  }
  return *shape_of(source, last, false);
}

ImageMaker maker_for(const std::string& origin, const ImageSource& source, const ChannelOptions& options) {
  if (source.size() == 0) throw InputError(origin + " holds no image");
  return ImageMaker(options.image.shape ? *options.image.shape : first_shape(source, options.most_bad),
                    options.image.crop);
}

}  // namespace

ImageDataset::ImageDataset(const std::string& origin, std::unique_ptr<const ImageSource> source,
                           std::vector<std::string> categories, const ChannelOptions& options, std::string label)
    : source_(std::move(source)), maker_(maker_for(origin, *source_, options)) {
  spec_.fields.push_back(
      {.name = "image", .type = ElementType::kUint8, .sizes = maker_.shape().sizes(), .large = true, .origin = origin});
  if (label == "image") throw InputError(origin + ": the label cannot be named \"image\", as the image is");
  spec_.fields.push_back({.name = std::move(label),
                          .type = ElementType::kInt64,
                          .bound = static_cast<std::int64_t>(categories.size()),
                          .categories = std::move(categories),
                          .origin = origin});
  Digest digest;
  update_layout(digest, spec_.fields);
  source_->update(digest);
  for (std::int64_t i = 0; i < size(); ++i) digest.update(std::to_string(source_->label(i)) + ",");
  digest_ = digest.hex();
  note_ = describe_sizes(options.most_bad > 0);
}

std::string ImageDataset::place(std::size_t /*field*/, std::int64_t sample) const { return source_->place(sample); }

std::string ImageDataset::describe_sizes(bool may_be_bad) const {
  std::set<std::pair<std::int64_t, std::int64_t>> sizes;
  const std::int64_t looked_at = std::min(kNoted, size());
  for (std::int64_t i = 0; i < looked_at; ++i) {
    const std::int64_t sample = i * (size() - 1) / std::max<std::int64_t>(looked_at - 1, 1);
    if (const auto found = shape_of(*source_, sample, may_be_bad)) sizes.emplace(found->height, found->width);
  }
  const auto text = [](const std::pair<std::int64_t, std::int64_t>& size) {
    return std::to_string(size.first) + "×" + std::to_string(size.second);
  };
  if (sizes.empty()) return "";
  const std::string made = text({maker_.shape().height, maker_.shape().width});
  return "images of " +
         (sizes.size() == 1 ? text(*sizes.begin()) : text(*sizes.begin()) + " to " + text(*sizes.rbegin())) +
         (looked_at < size() ? " (" + std::to_string(looked_at) + " looked at)" : "") + ", made " + made;
}

void ImageDataset::read_all(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                            const Draw* draw) const {
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (fields[0] != nullptr) {
      visit_image(*source_, samples[i], [&](std::string_view image) {
        maker_.make(image, draw, samples[i], fields[0] + i * spec_.fields[0].bytes());
      });
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
