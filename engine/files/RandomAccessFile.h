// The content of a file at any place, whatever it is packed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/files/MappedFile.h"
#include "engine/files/PlainFile.h"
#include "engine/files/ScratchBytes.h"

namespace lockstep {

/// A plain file is read where it lies, and takes no memory. A packed one is unpacked when it is opened, into bytes of
/// its own or, as one of several, into such that they share (open_random_access). Thread-safe.
class RandomAccessFile {
 public:
  /// Throws InputError for what cannot be opened, is no regular file, or is not intact, and when there is no room to
  /// unpack it.
  explicit RandomAccessFile(const std::filesystem::path& path);
  /// The part of `content` from `begin` to its end, under a file's name.
  RandomAccessFile(std::string name, std::shared_ptr<const ScratchBytes> content, std::uint64_t begin = 0);

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }  ///< of the content, in bytes
  /// From here on, small parts of a plain file are copied from memory, where this process may (MappedFile). For records
  /// that tell by themselves when they are not whole: a file that is cut while it is read has zeros up to the end of
  /// its last page.
  void map(ReadAround around = ReadAround::kYes);
  /// Fills `bytes` with the content from `offset` on. Throws InputError when it ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Says that these bytes will be read soon. What is not in memory stays where it is.
  void expect(std::uint64_t offset, std::size_t size) const {
    if (unpacked_) unpacked_->expect(begin_ + offset, size);
  }

 private:
  explicit RandomAccessFile(PlainFile file);
  friend std::vector<RandomAccessFile> open_random_access(const std::vector<std::filesystem::path>& paths);

  std::string name_;
  static constexpr std::size_t kMostCopied = 16 << 10;  ///< more bytes are read at once better

  std::shared_ptr<const PlainFile> file_{};         ///< of a plain one
  std::shared_ptr<const MappedFile> mapped_{};      ///< the same
  std::shared_ptr<const ScratchBytes> unpacked_{};  ///< of a packed one
  std::uint64_t begin_ = 0;                         ///< in unpacked_
  std::uint64_t size_ = 0;
};

/// All of these, in their order. Throws as the constructor does.
std::vector<RandomAccessFile> open_random_access(const std::vector<std::filesystem::path>& paths);

}  // namespace lockstep
