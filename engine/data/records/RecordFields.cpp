#include "engine/data/records/RecordFields.h"

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/images/EncodedImage.h"
#include "engine/data/images/ImageMaker.h"
#include "engine/data/records/ImageMagic.h"
#include "engine/data/records/RecordValues.h"

namespace lockstep {

void RecordFields::look_at(const RecordValue& value) {
  const auto place = found_.find(value.name);
  const bool first = place == found_.end();
  const bool bytes = value.type == ElementType::kUint8;
  if (!first && (!bytes || place->second.field.type != value.type)) return;
  const bool image = bytes && EncodedImage::begins(bytes_of(value));
  if (image && !image_) image_ = shape_of_image(bytes_of(value));
  std::vector<std::int64_t> sizes = image ? image_->sizes() : sizes_of(value);
  if (!bytes && count_of(sizes) == 0) return;  // others may have more
  Found& found = first ? found_[std::string(value.name)] : place->second;
  if (bytes) {
    if (count_of(sizes) == 0 || (!first && (sizes != found.field.sizes || image != found.image))) {
      found.passed_over = "bytes of no fixed length";
    }
    if (!image && begins_image(bytes_of(value))) found.passed_over = "encoded images, no JPEG, PNG or WebP";
  }
  if (!first) return;
  found.image = image;
  found.field = {.name = std::string(value.name), .type = value.type, .sizes = std::move(sizes)};
}

std::vector<bool> RecordFields::images(const std::vector<Field>& fields) const {
  std::vector<bool> images;
  for (const Field& field : fields) images.push_back(found_.find(field.name)->second.image);
  return images;
}

std::vector<Field> RecordFields::fields(const std::string& origin, const SampleSpec* like) const {
  std::vector<Field> fields;
  std::vector<std::string> others;
  for (const auto& [name, found] : found_) {
    if (!found.passed_over.empty()) {
      others.push_back(name + " (" + found.passed_over + ")");
    } else if (like != nullptr && !like->find(name)) {
      others.push_back(name + " (which the training channel has not)");
    } else {
      fields.push_back(found.field);
      fields.back().origin = origin;
    }
  }
  if (fields.empty()) {
    throw InputError(origin + ": its records hold no numbers; they hold " +
                     (others.empty() ? "nothing" : join(others, ", ")));
  }
  return fields;
}

}  // namespace lockstep
