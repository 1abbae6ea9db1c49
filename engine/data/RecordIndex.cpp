#include "engine/data/RecordIndex.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lockstep {

namespace {

constexpr std::size_t kStride = 64;

}  // namespace

void RecordIndex::begin_file(std::uint64_t offset) { files_.push_back({.first = size_, .end = offset}); }

void RecordIndex::add(std::uint32_t length) {
  File& file = files_.back();
  if (file.lengths.size() % kStride == 0) file.offsets.push_back(file.end);
  file.lengths.push_back(length);
  file.end += length;
  ++size_;
}

std::uint64_t RecordIndex::begin(std::size_t file) const {
  return files_[file].offsets.empty() ? files_[file].end : files_[file].offsets[0];
}

void RecordIndex::add_damaged(std::string why) {
  damage_.emplace(size_, std::move(why));
  add(0);
}

RecordIndex::Place RecordIndex::place(std::int64_t record) const {
  // Files without records begin where the next one does: the last that begins there has it.
  const auto after = std::ranges::upper_bound(files_, record, {}, &File::first);
  const auto file = static_cast<std::size_t>(after - files_.begin()) - 1;
  const File& found = files_[file];
  const auto within = static_cast<std::size_t>(record - found.first);
  const auto* const lengths = found.lengths.data();
  const auto damage = damage_.find(record);
  return {.file = file,
          .record = record - found.first,
          .offset =
              std::accumulate(lengths + within / kStride * kStride, lengths + within, found.offsets[within / kStride]),
          .length = lengths[within],
          .damage = damage == damage_.end() ? nullptr : &damage->second};
}

std::string record_place(const std::string& file, std::int64_t record, std::uint64_t offset) {
  return file + ", record " + std::to_string(record + 1) + ", at byte " + std::to_string(offset);
}

}  // namespace lockstep
