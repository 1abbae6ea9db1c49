#include "engine/data/RecordDataset.h"

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
  std::vector<std::byte> record;
  std::vector<std::byte*> places(fields.begin(), fields.end());
  for (const std::int64_t sample : samples) {
    const RecordIndex::Place place = index_.place(sample);
    const RandomAccessFile& file = files_[place.file];
    record.resize(place.length);
    file.read_at(place.offset, record);
    try {
      if (place.damage != nullptr) throw InputError(*place.damage);
      decode({reinterpret_cast<const char*>(record.data()), record.size()}, places, sample);
    } catch (const InputError& error) {
      throw InputError(record_place(file.name(), place.record, place.offset) + ": " + error.what());
    }
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (places[i] != nullptr) places[i] += spec().fields[i].bytes();
    }
  }
}

}  // namespace lockstep
