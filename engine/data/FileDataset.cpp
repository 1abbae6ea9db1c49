#include "engine/data/FileDataset.h"

#include <algorithm>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Prefetch.h"
#include "engine/data/ArrayDataset.h"
#include "engine/data/SampledDigest.h"

namespace lockstep {

namespace {

// Finds where each part begins; returns how many samples there are.
std::int64_t count_parts(FileField& field) {
  std::int64_t samples = 0;
  for (FileField::Part& part : field.parts) {
    part.first = samples;
    samples += part.samples;
  }
  return samples;
}

}  // namespace

FileDataset::FileDataset(const std::string& origin, std::vector<RandomAccessFile> files, std::vector<FileField> fields,
                         std::string note, std::vector<BadRecord> bad)
    : files_(std::move(files)), fields_(std::move(fields)), note_(std::move(note)), bad_(std::move(bad)) {
  std::vector<std::pair<Field, std::int64_t>> arrays;
  for (FileField& field : fields_) {
    size_ = count_parts(field);
    arrays.emplace_back(std::move(field.field), size_);
  }
  spec_ = spec_of_arrays(origin, std::move(arrays));  // as many in each
  Digest digest;
  for (Field& field : spec_.fields) field.large = static_cast<std::uint64_t>(size_) > kMostInMemory / field.bytes();
  update_layout(digest, spec_.fields);
  check_ends();
  for (const RandomAccessFile& file : files_) update_sampled(digest, file);
  digest_ = digest.hex();
}

void FileDataset::check_ends() const {
  std::vector<std::uint64_t> ends(files_.size());
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    for (const FileField::Part& part : fields_[i].parts) {
      if (part.samples == 0) continue;
      const std::uint64_t last = part.offset + static_cast<std::uint64_t>(part.samples - 1) * fields_[i].stride;
      ends[part.file] = std::max(ends[part.file], last + spec_.fields[i].bytes());
    }
  }
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (files_[i].size() == ends[i]) continue;
    throw InputError(files_[i].name() +
                     (files_[i].size() < ends[i] ? " is truncated at byte " : " has more bytes than it should: ") +
                     std::to_string(files_[i].size()) + "; its header says that it ends at byte " +
                     std::to_string(ends[i]) + "; copy or convert it again");
  }
}

FileDataset::Found FileDataset::find(std::size_t field, std::int64_t sample) const {
  const FileField& stored = fields_[field];
  // Parts without samples begin where the next one does: the last that begins there has it.
  const auto after = std::ranges::upper_bound(stored.parts, sample, {}, &FileField::Part::first);
  const FileField::Part& part = *(after - 1);
  const std::int64_t row = sample - part.first;
  if (row < part.samples) {
    return {.file = &files_[part.file],
            .offset = part.offset + static_cast<std::uint64_t>(row) * stored.stride,
            .row = row,
            .left = part.samples - row};
  }
  throw InternalError("a sample beyond the last is asked for");
}

std::string FileDataset::place(std::size_t field, std::int64_t sample) const {
  const Found found = find(field, sample);
  return found.file->name() +
         (fields_[field].rows ? ", row " + std::to_string(found.row + 1) : ", at byte " + std::to_string(found.offset));
}

void FileDataset::read_field(std::size_t field, std::span<const std::int64_t> samples, std::byte* out) const {
  const std::size_t bytes = spec_.fields[field].bytes();
  for (std::size_t i = 0; i < samples.size();) {
    const Found found = find(field, samples[i]);
    if (i + kSamplesAhead < samples.size()) {
      const Found later = find(field, samples[i + kSamplesAhead]);
      later.file->expect(later.offset, bytes);
    }
    std::size_t count = 1;  // of neighbours, which one call reads
    if (fields_[field].stride == bytes) {
      const std::size_t most = std::min(samples.size() - i, static_cast<std::size_t>(found.left));
      while (count < most && samples[i + count] == samples[i] + static_cast<std::int64_t>(count)) ++count;
    }
    found.file->read_at(found.offset, {out + i * bytes, count * bytes});
    i += count;
  }
  const std::span<std::uint8_t> all(reinterpret_cast<std::uint8_t*>(out), samples.size() * bytes);
  if (fields_[field].swapped) swap_bytes(all, size_of(spec_.fields[field].type));
  if (spec_.fields[field].type == ElementType::kBool) make_bools(all);
}

void FileDataset::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] != nullptr) read_field(i, samples, fields[i]);
  }
}

bool stays_in_files(const ChannelFiles& channel) {
  std::uint64_t bytes = 0;
  for (const std::filesystem::path& path : channel.files) {
    bytes += PlainFile(path).size();
  }
  return bytes > kMostInMemory;
}

}  // namespace lockstep
