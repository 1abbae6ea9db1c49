// The headers of a file's records, which lie apart by what the records hold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/files/RandomAccessFile.h"

namespace lockstep {

/// Reads small pieces of a file, at offsets that grow. Where they lie close together, many are read at once; where they
/// do not, what lies between is left alone.
class HeaderWindow {
 public:
  /// Keeps a reference.
  explicit HeaderWindow(const RandomAccessFile& file) : file_(file) {}

  /// `count` bytes, at most kBytes, from `offset` on; fewer where the file ends. Good until the next call. Throws
  /// InputError.
  std::span<const std::byte> at(std::uint64_t offset, std::size_t count);

 private:
  static constexpr std::size_t kBytes = 32 << 10;
  static constexpr std::size_t kNear = 4 << 10;  ///< a page: as much is read anyway

  const RandomAccessFile& file_;
  std::array<std::byte, kBytes> bytes_;
  std::uint64_t begin_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace lockstep
