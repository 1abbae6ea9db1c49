// A file as memory: many small reads without a system call for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engine/files/PlainFile.h"

namespace lockstep {

/// From here on this process may map files. A page that cannot be read, because the file was cut or its disk fails, is
/// a signal, SIGBUS, which is caught where MappedFile copies; elsewhere it does what it did before. To be called by a
/// program's main, before it has threads.
void allow_mapped_files();

/// Whether a page that is read brings those around it. What is larger than memory and read in any order would read each
/// page many times for its neighbours' sake, and drive out of memory what is needed.
enum class ReadAround { kYes, kNo };

/// kYes for files of so many bytes together that this machine's memory could hold them twice.
ReadAround read_around_of(std::uint64_t bytes);

/// Bytes of a file as they are when they are copied. Thread-safe.
class MappedFile {
 public:
  /// Null where this process does not map files, and where this file cannot be: then it is to be read.
  static std::shared_ptr<const MappedFile> of(const PlainFile& file, ReadAround around = ReadAround::kYes);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// Whether it could copy all of them: false where the file does not have them, or the system cannot read them.
  bool copy(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  MappedFile(const std::byte* bytes, std::uint64_t size) : bytes_(bytes), size_(size) {}

  const std::byte* bytes_;
  std::uint64_t size_;
};

}  // namespace lockstep
