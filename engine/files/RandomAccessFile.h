// The content of a file at any offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "common/File.h"

namespace lockstep {

/// A plain file is read where it lies, and takes no memory. A packed one (InputFile.h) is unpacked into memory when it
/// is opened. Thread-safe.
class RandomAccessFile {
 public:
  /// Throws InputError for what cannot be opened, is no regular file, or is not intact.
  explicit RandomAccessFile(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  /// Fills `bytes` with what is there from `offset` on. Throws InputError when the content ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::string name_;
  std::uint64_t size_ = 0;
  FileDescriptor file_;
  std::vector<std::uint8_t> unpacked_;
};

}  // namespace lockstep
