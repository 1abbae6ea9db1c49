#include "engine/data/RecordDataset.h"

#include <iterator>
#include <utility>

#include "common/Error.h"

namespace lockstep {

RecordDataset::RecordDataset(std::vector<RandomAccessFile> files, RecordIndex index,
                             std::unique_ptr<const RecordDecoder> decoder, std::string digest, std::string note,
                             std::optional<std::vector<BadRecord>> bad)
    : files_(std::move(files)),
      index_(std::move(index)),
      decoder_(std::move(decoder)),
      digest_(std::move(digest)),
      note_(std::move(note)),
      bad_(std::move(bad)) {
  if (index_.size() == 0) throw InputError(files_.at(0).name() + " holds no record");
  std::uint64_t bytes = 0;
  for (const RandomAccessFile& file : files_) bytes += file.size();
  for (RandomAccessFile& file : files_) file.map(read_around_of(bytes));
}

std::string RecordDataset::place(std::size_t field, std::int64_t sample) const {
  const RecordIndex::Place place = index_.place(sample);
  return record_place(files_[place.file].name(), place.record, place.offset) + ", " + spec().fields[field].name;
}

void RecordDataset::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  decode_each(samples, fields,
              [&](std::string_view record, std::span<std::byte* const> places, std::int64_t /*sample*/) {
                decoder_->decode(record, places);
              });
}

void RecordDataset::read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                                const Draw& draw) const {
  decode_each(samples, fields, [&](std::string_view record, std::span<std::byte* const> places, std::int64_t sample) {
    decoder_->decode_varied(record, places, draw, sample);
  });
}

template <typename Decode>
void RecordDataset::decode_each(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                                const Decode& decode) const {
  std::vector<std::byte> memory;
  std::vector<RecordIndex::Place> run;  // of neighbours, which one call reads
  std::vector<std::byte*> places(fields.begin(), fields.end());
  for (std::size_t i = 0; i < samples.size(); i += run.size()) {
    memory.resize(find_run(samples.subspan(i), run));
    const RandomAccessFile& file = files_[run[0].file];
    file.read_at(run[0].offset, memory);
    const char* record = reinterpret_cast<const char*>(memory.data());
    for (std::size_t k = 0; k < run.size(); record += run[k++].length) {
      try {
        if (run[k].damage != nullptr) throw InputError(*run[k].damage);
        decode({record, run[k].length}, places, samples[i + k]);
      } catch (const InputError& error) {
        throw InputError(record_place(file.name(), run[k].record, run[k].offset) + ": " + error.what());
      }
      for (std::size_t field = 0; field < places.size(); ++field) {
        if (places[field] != nullptr) places[field] += spec().fields[field].bytes();
      }
    }
  }
}

std::uint64_t RecordDataset::find_run(std::span<const std::int64_t> samples,
                                      std::vector<RecordIndex::Place>& run) const {
  run.assign(1, index_.place(samples[0]));
  std::uint64_t bytes = run[0].length;
  while (run.size() < samples.size() && samples[run.size()] == samples[0] + std::ssize(run)) {
    const RecordIndex::Place next = index_.place(samples[run.size()]);
    if (next.file != run[0].file || bytes + next.length > kMostReadAtOnce) break;
    bytes += next.length;
    run.push_back(next);
  }
  return bytes;
}

}  // namespace lockstep
