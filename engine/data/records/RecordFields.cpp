#include "engine/data/records/RecordFields.h"

#include <algorithm>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Padding.h"
#include "engine/data/images/EncodedImage.h"
#include "engine/data/images/ImageMaker.h"
#include "engine/data/records/ImageMagic.h"
#include "engine/data/records/RecordValues.h"

namespace lockstep {

RecordFields::RecordFields(std::optional<ImageShape> image, const FieldDescriptions& described)
    : image_(std::move(image)), readings_(column_readings(described)) {}

void RecordFields::look_at(const RecordValue& value) {
  const auto described = readings_.find(std::string(value.name));
  const ColumnReading reading = described == readings_.end() ? ColumnReading() : described->second;
  if (reading.as_text()) return look_at_text(value, reading);
  const auto place = found_.find(value.name);
  const bool first = place == found_.end();
  const bool bytes = value.type == ElementType::kUint8;
  if (!first && (!bytes || place->second.field.type != value.type)) return;
  const bool image = bytes && EncodedImage::begins(bytes_of(value));
  if (image && !image_) image_ = shape_of_image(bytes_of(value));
  std::vector<std::int64_t> sizes = image ? image_->sizes() : sizes_of(value);
  if (reading.pad.length > 0) {
    if (bytes) throw InputError(in_quotes(value.name) + " holds bytes; what is padded are lists of numbers");
    sizes = {reading.pad.length};
  }
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
  found.field = {.name = std::string(value.name), .type = value.type, .sizes = std::move(sizes), .reading = reading};
}

void RecordFields::look_at_text(const RecordValue& value, const ColumnReading& reading) {
  (void)text_of(value);
  Field field{.name = std::string(value.name), .type = ElementType::kInt64, .reading = reading};
  field.bound = reading.hash_buckets;
  found_.try_emplace(std::string(value.name), Found{.field = std::move(field)});
}

std::vector<bool> RecordFields::images(const std::vector<Field>& fields) const {
  std::vector<bool> images;
  for (const Field& field : fields) {
    const auto found = found_.find(field.name);
    images.push_back(found != found_.end() && found->second.image);  // a mask is none
  }
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
      if (like != nullptr && found.field.reading.as_text()) {
        fields.back().categories = like->fields[*like->find(name)].categories;
        fields.back().bound = like->fields[*like->find(name)].bound;
      }
    }
  }
  if (fields.empty()) {
    throw InputError(origin + ": its records hold no numbers; they hold " +
                     (others.empty() ? "nothing" : join(others, ", ")));
  }
  const std::size_t count = fields.size();
  for (std::size_t i = 0; i < count; ++i) {
    if (fields[i].reading.pad.mask.empty()) continue;
    fields.push_back(mask_of(fields[i]));
    if (std::ranges::count(fields, fields.back().name, &Field::name) == 1) continue;
    throw InputError("the mask of " + in_quotes(fields[i].name) + " cannot be named " + in_quotes(fields.back().name) +
                     ", as another value is");
  }
  return fields;
}

}  // namespace lockstep
