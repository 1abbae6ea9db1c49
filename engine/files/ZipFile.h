// Reading zip files, as far as .pt2 and .npz archives need it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/files/PlainFile.h"
#include "engine/files/ZipMember.h"

namespace lockstep {

/// How entries are named.
enum class ZipNames {
  kWhole,         ///< as they are stored
  kWithinFolder,  ///< without the folder in which all of them lie, if there is one: PyTorch names it as the file was
                  ///< called when it was written
};

/// An open zip file. Entries are stored or deflated; nothing is unpacked before the caller asks for it, and what is
/// unpacked is compared with its checksum.
///
/// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 (records) and 4.5.3 (sizes of 64 bits).
class ZipFile {
 public:
  /// Reads the directory of entries. Throws InputError when it is damaged or holds a name twice.
  explicit ZipFile(const std::filesystem::path& path, ZipNames names = ZipNames::kWhole);

  bool has(const std::string& name) const { return entries_.contains(name); }
  std::vector<std::string> names() const;  ///< of all entries, in alphabetical order
  /// Bytes of an entry once it is unpacked, as the directory says. Throws InputError for one that is missing.
  std::uint64_t size(const std::string& name) const { return record(name).unpacked; }
  /// Unpacks an entry into `bytes`, of its size. Throws InputError when it holds more or less, or is damaged.
  void read(const std::string& name, std::span<std::byte> bytes) const;
  /// An entry, to be unpacked piece by piece while this file is open. `called` is its name in messages. Throws
  /// InputError for one that is missing or not where the directory says.
  std::unique_ptr<InputFile> open(const std::string& name, const std::string& called) const;
  /// An entry as a text. Throws InputError for one larger than `most_bytes`, before it is unpacked.
  std::string text(const std::string& name, std::uint64_t most_bytes) const;

 private:
  const ZipRecord& record(const std::string& name) const;
  void add_entry(std::span<const std::byte> record);
  std::vector<std::byte> bytes_at(std::uint64_t offset, std::uint64_t count) const;
  void leave_folder();

  PlainFile file_;
  std::map<std::string, ZipRecord> entries_;
};

/// Unpacks every entry of a zip file, a piece at a time, to compare it with its checksum. Throws InputError, naming the
/// file and the entry, for one that is damaged.
void check_zip_file(const std::filesystem::path& path);

}  // namespace lockstep
