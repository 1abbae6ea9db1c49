#include "engine/data/records/OpenRecords.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "common/Digest.h"
#include "common/Error.h"
#include "engine/data/FileDataset.h"
#include "engine/data/RecordDataset.h"
#include "engine/data/SampledDigest.h"
#include "engine/data/records/MessageDecoder.h"
#include "engine/data/records/RecordFields.h"
#include "engine/data/records/RecordValues.h"
#include "engine/data/table/TableColumns.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kLookedAt = 16;
constexpr std::uint64_t kMostRecordBytes = std::numeric_limits<std::uint32_t>::max();

// Some of all records, from the first to the last: those of one file may be alike.
RecordFields look_at(std::span<const RandomAccessFile> files, const RecordIndex& index, const RecordForm& form,
                     const ChannelOptions& options, Digest& digest) {
  RecordFields fields(options.image.shape, options.fields);
  const std::int64_t count = std::min(index.size(), kLookedAt);
  std::int64_t bad = 0;
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < count; ++i) {
    const RecordIndex::Place place = index.place(count == 1 ? 0 : i * (index.size() - 1) / (count - 1));
    bytes.resize(place.length);
    files[place.file].read_at(place.offset, bytes);
    digest.update(bytes);
    try {
      if (place.damage != nullptr) throw InputError(*place.damage);
      form.visit({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                 [&](const RecordValue& value) { fields.look_at(value); });
    } catch (const InputError& error) {
      if (options.most_bad > 0 && ++bad < count) continue;  // whoever leaves them out counts them
      throw InputError(record_place(files[place.file].name(), place.record, place.offset) + ": " + error.what());
    }
  }
  return fields;
}

Field& field_named(std::vector<Field>& fields, const std::string& name) {
  return *std::ranges::find(fields, name, &Field::name);
}

// The categories of the fields that are read as texts and not hashed: all records say what they are.
void find_categories(std::span<const RandomAccessFile> files, const RecordIndex& index, const RecordForm& form,
                     bool may_be_bad, std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) {
    if (field.reading.as_text() && field.reading.hash_buckets == 0) names.push_back(field.name);
  }
  if (names.empty()) return;
  FieldDescriptions described;
  for (const std::string& name : names) {
    described[name] = {
        {.columns = {name}, .type = FieldPart::Type::kText, .fill = field_named(fields, name).reading.fill}};
  }
  TableColumns texts(names, nullptr, described);
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < index.size(); ++i) {
    const RecordIndex::Place place = index.place(i);
    bytes.resize(place.length);
    files[place.file].read_at(place.offset, bytes);
    texts.begin_row();
    try {
      if (place.damage != nullptr) throw InputError(*place.damage);
      form.visit({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, [&](const RecordValue& value) {
        const auto name = std::ranges::find(names, value.name);
        if (name != names.end()) texts.text(static_cast<std::size_t>(name - names.begin()), text_of(value));
      });
    } catch (const InputError& error) {
      texts.undo_row();
      if (may_be_bad) continue;  // whoever leaves them out counts them
      throw InputError(record_place(files[place.file].name(), place.record, place.offset) + ": " + error.what());
    }
  }
  for (Field& found : texts.fields("")) {
    Field& field = field_named(fields, found.name);
    field.categories = std::move(found.categories);
    field.bound = found.bound;
  }
}

}  // namespace

void index_records(const RandomAccessFile& file, const RecordLength& length_of, RecordIndex& index, Digest& digest,
                   bool may_be_bad) {
  HeaderWindow headers(file);
  index.begin_file(0);
  std::int64_t record = 0;
  for (std::uint64_t offset = 0; offset < file.size(); ++record) {
    try {
      const std::uint64_t length = length_of(headers, offset);
      if (length > file.size() - offset) {
        throw InputError("its header says that it ends at byte " + std::to_string(offset + length) +
                         ", but the file ends at byte " + std::to_string(file.size()) + ": it is truncated");
      }
      if (length > kMostRecordBytes) {
        throw InputError("it has " + std::to_string(length) + " bytes; at most 4 GiB are possible");
      }
      index.add(static_cast<std::uint32_t>(length));
      digest.update(std::as_bytes(std::span(&length, 1)));
      offset += length;
    } catch (const InputError& error) {
      if (!may_be_bad) throw InputError(record_place(file.name(), record, offset) + ": " + error.what());
      const std::uint64_t left = file.size() - offset;
      index.add_damaged(error.what());
      digest.update(std::as_bytes(std::span(&left, 1)));
      return;
    }
  }
}

std::unique_ptr<Dataset> open_records(const ChannelFiles& channel, std::unique_ptr<const RecordForm> form) {
  RecordIndex index;
  Digest digest;
  std::vector<RandomAccessFile> files = open_random_access(channel.files);
  for (const RandomAccessFile& file : files) {
    index_records(
        file, [&](HeaderWindow& headers, std::uint64_t offset) { return form->length(headers, offset); }, index, digest,
        channel.options.most_bad > 0);
  }
  if (index.size() == 0) throw InputError(files.at(0).name() + " holds no record");
  const RecordFields found = look_at(files, index, *form, channel.options, digest);
  std::vector<Field> fields = found.fields(channel.origin(), channel.options.like);
  std::vector<bool> images = found.images(fields);
  if (channel.options.like == nullptr) find_categories(files, index, *form, channel.options.most_bad > 0, fields);
  std::uint64_t bytes = 0;
  for (const RandomAccessFile& file : files) bytes += file.size();
  for (std::size_t i = 0; i < fields.size(); ++i) fields[i].large = images[i] || bytes > kMostInMemory;
  update_layout(digest, fields);
  return std::make_unique<RecordDataset>(
      std::move(files), std::move(index),
      std::make_unique<MessageDecoder>(std::move(form), std::move(fields), std::move(images),
                                       channel.options.image.crop),
      digest.hex());
}

}  // namespace lockstep
