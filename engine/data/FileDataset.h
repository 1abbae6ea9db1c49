// A data set of arrays that stay in their files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/data/ChannelFiles.h"
#include "engine/data/Dataset.h"
#include "engine/files/RandomAccessFile.h"

namespace lockstep {

/// A field whose samples are all of the same size, one behind the other.
struct FileField {
  /// Samples in a row in one file.
  struct Part {
    std::size_t file = 0;
    std::uint64_t offset = 0;  ///< of the first
    std::int64_t samples = 0;
    std::int64_t first = 0;  ///< of all samples; found by FileDataset
  };

  Field field;
  std::uint64_t stride = 0;  ///< bytes from where a sample begins to where the next does
  bool swapped = false;      ///< elements are in the other byte order than this machine's
  bool rows = false;         ///< messages name a sample by its row: its bytes are none of the file's own
  std::vector<Part> parts{};
};

/// Reads a sample where it lies, when it is asked for, and holds none: data may be larger than memory. The digest is of
/// the fields and of a part of the files' bytes (update_sampled).
class FileDataset : public Dataset {
 public:
  /// `bad`: samples that are none, where they may be left out. Throws InputError as ArrayDataset does, and for a file
  /// that does not end where its last sample does.
  FileDataset(const std::string& origin, std::vector<RandomAccessFile> files, std::vector<FileField> fields,
              std::string note = "", std::vector<BadRecord> bad = {});

  std::int64_t size() const override { return size_; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return digest_; }
  std::string place(std::size_t field, std::int64_t sample) const override;
  std::string note() const override { return note_; }
  std::optional<std::vector<BadRecord>> bad_records() const override { return bad_; }
  /// Throws InputError, naming file and byte, for a file that has become shorter.
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;

 private:
  struct Found {
    const RandomAccessFile* file = nullptr;
    std::uint64_t offset = 0;
    std::int64_t row = 0;   ///< within the part
    std::int64_t left = 0;  ///< samples from there on in the same part
  };
  Found find(std::size_t field, std::int64_t sample) const;
  void check_ends() const;
  void read_field(std::size_t field, std::span<const std::int64_t> samples, std::byte* out) const;

  std::vector<RandomAccessFile> files_;
  std::vector<FileField> fields_;  ///< without what is in spec_
  SampleSpec spec_;
  std::int64_t size_ = 0;
  std::string digest_;
  std::string note_;
  std::vector<BadRecord> bad_;
};

/// Whether a channel's files are too large to be read into memory: above kMostInMemory bytes in all.
bool stays_in_files(const ChannelFiles& channel);
inline constexpr std::uint64_t kMostInMemory = ScratchBytes::kMostInMemory;

}  // namespace lockstep
