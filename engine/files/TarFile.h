// Reading tar files: where their members lie.
//
// Source: POSIX.1-2017, pax: the ustar and the pax interchange format; GNU tar's manual, "Basic Tar Format": long names
// (type L) and sizes in base 256.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/files/RandomAccessFile.h"

namespace lockstep {

/// A regular file within a tar file.
struct TarMember {
  std::string name{};
  std::uint64_t offset = 0;  ///< of its first byte
  std::uint64_t length = 0;  ///< in bytes
};

/// Goes through a tar file's headers, and reads nothing else of it. What is no regular file is passed over.
class TarReader {
 public:
  /// `file` must outlive this.
  explicit TarReader(const RandomAccessFile& file) : file_(file) {}

  /// The next member; nothing at the end. Throws InputError, naming file and byte, for a header that is damaged and for
  /// a member that goes beyond the file's end.
  std::optional<TarMember> next();

  /// Whether a file that begins with these bytes is a tar file.
  static bool begins(std::string_view bytes);

 private:
  struct Header;
  std::optional<Header> read_header();
  std::string text_of(const TarMember& member) const;
  void read_pax(const std::string& records);
  [[noreturn]] void refuse(std::uint64_t offset, const std::string& cause) const;

  const RandomAccessFile& file_;
  std::uint64_t offset_ = 0;
  std::string long_name_{};                     ///< of the next member; "": its header has it
  std::optional<std::uint64_t> long_length_{};  ///< the same
};

}  // namespace lockstep
