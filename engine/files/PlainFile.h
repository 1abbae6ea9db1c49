// A file whose bytes are read at any place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "common/File.h"

namespace lockstep {

/// A regular file, open for reading by several threads at once. Errors name it.
class PlainFile {
 public:
  /// Throws InputError for what cannot be opened or is no regular file (open_regular_file).
  explicit PlainFile(const std::filesystem::path& path);

  const std::string& name() const { return name_; }  ///< its path
  std::uint64_t size() const { return size_; }       ///< in bytes, when it was opened
  int descriptor() const { return file_.get(); }
  /// Fills `bytes` with what the file holds from `offset` on. Returns how many there were: fewer only where it ends.
  /// Throws InputError when the system cannot read.
  std::size_t read_some_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// All of `bytes`. Throws InputError where the file ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::string name_;
  FileDescriptor file_;
  std::uint64_t size_;
};

}  // namespace lockstep
