// Reading zip files, as far as .pt2 and .npz archives need it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/File.h"

namespace lockstep {

/// An open zip file whose entries lie in one folder, by which they are not named here, or in none. Entries are stored
/// or deflated; nothing is unpacked before the caller has asked for its size and given memory for it.
///
/// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 (records) and 4.5.3 (sizes of 64 bits).
class ZipFile {
 public:
  /// Reads the directory of entries. Throws InputError when it is damaged or holds a name twice.
  explicit ZipFile(const std::filesystem::path& path);

  bool has(const std::string& name) const { return entries_.contains(name); }
  std::vector<std::string> names() const;  ///< of all entries, in alphabetical order
  /// Bytes of an entry once it is unpacked, as the directory says. Throws InputError for one that is missing.
  std::uint64_t size(const std::string& name) const { return entry(name).unpacked; }
  /// Unpacks an entry into `bytes`, of its size. Throws InputError when it holds more or less, or is damaged.
  void read(const std::string& name, std::span<std::byte> bytes) const;
  /// An entry as a text. Throws InputError for one larger than `most_bytes`, before it is unpacked.
  std::string text(const std::string& name, std::uint64_t most_bytes) const;

 private:
  struct Entry {
    std::uint64_t header = 0;  ///< place of its local header
    std::uint64_t packed = 0;
    std::uint64_t unpacked = 0;
    bool deflated = false;
  };

  const Entry& entry(const std::string& name) const;
  void add_entry(std::span<const std::byte> record);
  std::vector<std::byte> bytes_at(std::uint64_t offset, std::uint64_t count) const;
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  void inflate_at(std::uint64_t offset, std::uint64_t packed, std::span<std::byte> bytes) const;

  FileDescriptor file_;
  std::uint64_t file_size_ = 0;
  std::map<std::string, Entry> entries_;
};

}  // namespace lockstep
