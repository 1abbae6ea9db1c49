#include "engine/data/records/OpenRecords.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/Digest.h"
#include "common/Error.h"
#include "engine/data/FileDataset.h"
#include "engine/data/KeptIndex.h"
#include "engine/data/RecordDataset.h"
#include "engine/data/SampledDigest.h"
#include "engine/data/SliceReads.h"
#include "engine/data/records/MessageDecoder.h"
#include "engine/data/records/RecordFields.h"
#include "engine/data/records/RecordValues.h"
#include "engine/data/table/TableColumns.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kLookedAt = 16;
constexpr unsigned kMostIndexing = 8;
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

RecordIndex index_by_threads(std::span<const RandomAccessFile> files, const RecordForm& form, bool may_be_bad) {
  const std::int64_t threads = std::min(std::thread::hardware_concurrency(), kMostIndexing);
  const auto index_some = [&](const Slice& some) {
    RecordIndex index;
    for (std::int64_t file = some.begin; file < some.end; ++file) {
      index_records(
          files[static_cast<std::size_t>(file)],
          [&](HeaderWindow& headers, std::uint64_t offset) { return form.length(headers, offset); }, index, may_be_bad);
    }
    return index;
  };
  RecordIndex index;
  for (RecordIndex& some : by_threads({0, std::ssize(files)}, threads, index_some)) index.append(std::move(some));
  return index;
}

struct IndexedRecords {
  RecordIndex index;
  std::string note{};
};

// As index_by_threads does, or as an earlier job did.
IndexedRecords find_records(std::span<const RandomAccessFile> files, const RecordForm& form,
                            const ChannelFiles& channel) {
  const bool may_be_bad = channel.options.most_bad > 0;
  if (channel.options.index_dir.empty()) return {index_by_threads(files, form, may_be_bad)};
  const KeptIndex kept(channel.options.index_dir, channel, "records, as of version 1; of " + form.name());
  if (auto found = kept.find(); found && found->index.files() == files.size()) return {std::move(found->index)};
  IndexedRecords indexed{index_by_threads(files, form, may_be_bad)};
  if (indexed.index.intact()) indexed.note = kept.keep(indexed.index, {});
  return indexed;
}

}  // namespace

void index_records(const RandomAccessFile& file, const RecordLength& length_of, RecordIndex& index, bool may_be_bad) {
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
      offset += length;
    } catch (const InputError& error) {
      if (!may_be_bad) throw InputError(record_place(file.name(), record, offset) + ": " + error.what());
      index.add_damaged(error.what());
      return;
    }
  }
}

void digest_lengths(const RecordIndex& index, std::span<const RandomAccessFile> files, Digest& digest) {
  for (std::int64_t record = 0; record < index.size(); ++record) {
    const RecordIndex::Place place = index.place(record);
    const std::uint64_t length = place.damage == nullptr ? place.length : files[place.file].size() - place.offset;
    digest.update(std::as_bytes(std::span(&length, 1)));
  }
}

std::unique_ptr<Dataset> open_records(const ChannelFiles& channel, std::unique_ptr<const RecordForm> form) {
  Digest digest;
  std::vector<RandomAccessFile> files = open_random_access(channel.files);
  auto [index, note] = find_records(files, *form, channel);
  digest_lengths(index, files, digest);
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
      digest.hex(), std::move(note));
}

}  // namespace lockstep
