// The objects that a stream of RecordIO wraps.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "common/File.h"
#include "common/RecordIoHeader.h"

namespace lockstep {

/// Writes each record of a stream into a file of its own, as it comes: where SageMaker wraps (RecordWrapperType), a
/// record is one object of S3. Files are numbered in the stream's order, for names do not come with it. Give it all
/// bytes by `take`, and then call `end`.
class WrappedObjects {
 public:
  /// `origin`: the stream, for messages.
  WrappedObjects(std::string origin, std::filesystem::path directory)
      : origin_(std::move(origin)), directory_(std::move(directory)) {}

  /// Throws InputError, naming record and byte, for what is no RecordIO; SystemError when a file cannot be written.
  void take(std::span<const std::byte> bytes);
  /// Throws InputError when a record has not ended.
  void end() const;

 private:
  void begin_part();
  [[noreturn]] void refuse(std::uint64_t byte, const std::string& what) const;

  std::string origin_;
  std::filesystem::path directory_;
  std::int64_t objects_ = 0;
  std::uint64_t taken_ = 0;         ///< bytes of the stream
  std::uint64_t record_begin_ = 0;  ///< of the record that has not ended
  std::array<std::byte, RecordIoHeader::kBytes> header_{};
  std::size_t header_bytes_ = 0;  ///< that have come
  std::uint32_t data_left_ = 0;   ///< of the part
  std::uint32_t zeros_left_ = 0;  ///< behind it
  bool last_part_ = true;
  std::optional<OutputFile> file_;  ///< of the record that has not ended
};

}  // namespace lockstep
