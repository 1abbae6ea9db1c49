// Bytes that a process makes for itself, as many as there may be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/File.h"

namespace lockstep {

/// Write all by `append`, then read at any place, by several threads at once. Up to kMostInMemory bytes are held in
/// memory. More are in a file without a name in the system's directory for temporary files (TMPDIR, or else /tmp),
/// which is gone when the process ends, however it ends.
class ScratchBytes {
 public:
  static constexpr std::uint64_t kMostInMemory = std::uint64_t{128} << 20;

  explicit ScratchBytes(std::uint64_t most_in_memory = kMostInMemory) : most_in_memory_(most_in_memory) {}

  std::uint64_t size() const { return size_; }
  /// `what`: whose content it is, for messages. Throws InputError when the directory has no room.
  void append(std::span<const std::byte> bytes, const std::string& what);
  /// Of bytes that were written. Throws SystemError when the system cannot read.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Says that these bytes will be read soon: those in memory begin to come.
  void expect(std::uint64_t offset, std::size_t size) const;

 private:
  void write(std::span<const std::byte> bytes, const std::string& what);

  std::uint64_t most_in_memory_;
  std::uint64_t size_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> memory_{};  ///< in blocks, so that none moves when more come
  FileDescriptor file_{};                               ///< from most_in_memory_ on: all bytes
};

}  // namespace lockstep
