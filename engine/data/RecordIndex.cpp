#include "engine/data/RecordIndex.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lockstep {

void RecordIndex::begin_file(std::uint64_t offset) { files_.push_back({.first = size_, .end = offset}); }

void RecordIndex::add(std::uint32_t length) {
  File& file = files_.back();
  const auto place = static_cast<std::size_t>(file.records) % kBlock;
  if (place == 0) file.blocks.push_back({.offset = file.end});
  file.blocks.back().lengths[place] = length;
  file.end += length;
  ++file.records;
  ++size_;
}

std::uint64_t RecordIndex::begin(std::size_t file) const {
  return files_[file].blocks.empty() ? files_[file].end : files_[file].blocks[0].offset;
}

void RecordIndex::add_damaged(std::string why) {
  damage_.emplace(size_, std::move(why));
  add(0);
}

void RecordIndex::append(RecordIndex other) {
  for (File& file : other.files_) {
    file.first += size_;
    files_.push_back(std::move(file));
  }
  for (auto& [record, why] : other.damage_) damage_.emplace(record + size_, std::move(why));
  size_ += other.size_;
}

RecordIndex::Place RecordIndex::place(std::int64_t record) const {
  // Files without records begin where the next one does: the last that begins there has it.
  const auto after = std::ranges::upper_bound(files_, record, {}, &File::first);
  const auto file = static_cast<std::size_t>(after - files_.begin()) - 1;
  const File& found = files_[file];
  const auto within = static_cast<std::size_t>(record - found.first);
  const Block& block = found.blocks[within / kBlock];
  const auto* const length = block.lengths.begin() + within % kBlock;
  const auto damage = damage_.find(record);
  return {.file = file,
          .record = record - found.first,
          .offset = std::accumulate(block.lengths.begin(), length, block.offset),
          .length = *length,
          .damage = damage == damage_.end() ? nullptr : &damage->second};
}

std::string record_place(const std::string& file, std::int64_t record, std::uint64_t offset) {
  return file + ", record " + std::to_string(record + 1) + ", at byte " + std::to_string(offset);
}

}  // namespace lockstep
