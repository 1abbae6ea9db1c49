// Samples that are records of files, found by an index and decoded when they are read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/Dataset.h"
#include "engine/data/RecordIndex.h"
#include "engine/files/RandomAccessFile.h"

namespace lockstep {

/// What the records of a format hold. Thread-safe.
class RecordDecoder {
 public:
  virtual ~RecordDecoder() = default;
  virtual const SampleSpec& spec() const = 0;
  /// Writes each field of a record into the memory in its place of `fields`, or nowhere for nullptr. Throws InputError
  /// that says what is wrong with the record, but not where it lies.
  virtual void decode(std::string_view record, std::span<std::byte* const> fields) const = 0;
  /// Dataset::read_varied, of the record of `sample`.
  virtual void decode_varied(std::string_view record, std::span<std::byte* const> fields, const Draw& /*draw*/,
                             std::int64_t /*sample*/) const {
    decode(record, fields);
  }
  /// Dataset::crops.
  virtual bool crops() const { return false; }
};

/// Holds the index, and of the files nothing else: data may be larger than memory.
class RecordDataset : public Dataset {
 public:
  /// `files`: in the index's order. `digest`: of their content. `bad`: Dataset::bad_records. Throws InputError when
  /// there is no record.
  RecordDataset(std::vector<RandomAccessFile> files, RecordIndex index, std::unique_ptr<const RecordDecoder> decoder,
                std::string digest, std::string note = "", std::optional<std::vector<BadRecord>> bad = {});

  std::int64_t size() const override { return index_.size(); }
  const SampleSpec& spec() const override { return decoder_->spec(); }
  std::string digest() const override { return digest_; }
  std::string place(std::size_t field, std::int64_t sample) const override;
  std::string note() const override { return note_; }
  std::optional<std::vector<BadRecord>> bad_records() const override { return bad_; }
  /// Throws InputError, naming file, record and byte, for a record that cannot be read or decoded.
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;
  void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Draw& draw) const override;
  bool crops() const override { return decoder_->crops(); }

 private:
  static constexpr std::uint64_t kMostReadAtOnce = 256 << 10;  ///< bytes of several records

  /// Where the first of these samples lies, and the next ones that follow it in the file. Returns their bytes.
  std::uint64_t find_run(std::span<const std::int64_t> samples, std::vector<RecordIndex::Place>& run) const;
  /// Calls `decode(record, places, sample)` with each.
  template <typename Decode>
  void decode_each(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Decode& decode) const;

  std::vector<RandomAccessFile> files_;
  RecordIndex index_;
  std::unique_ptr<const RecordDecoder> decoder_;
  std::string digest_;
  std::string note_;
  std::optional<std::vector<BadRecord>> bad_;
};

}  // namespace lockstep
