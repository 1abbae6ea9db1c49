// The content of a file at any place, whatever it is packed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/files/PlainFile.h"

namespace lockstep {

/// A plain file is read where it lies, and takes no memory. A packed one is unpacked into memory when it is opened.
/// Thread-safe.
class RandomAccessFile {
 public:
  /// Throws InputError for what cannot be opened, is no regular file, or is not intact.
  explicit RandomAccessFile(const std::filesystem::path& path);

  const std::string& name() const { return file_.name(); }
  std::uint64_t size() const { return packed_ ? unpacked_.size() : file_.size(); }  ///< of the content, in bytes
  /// Fills `bytes` with the content from `offset` on. Throws InputError when it ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  PlainFile file_;
  bool packed_;
  std::vector<std::uint8_t> unpacked_;
};

}  // namespace lockstep
