// Reading the safetensors file format, without torch.
//
// Source: the format section of the safetensors README (huggingface/safetensors, version 0.8). 8 bytes: length of the
// header, little-endian; the header: JSON, name → {dtype, shape, data_offsets}, `__metadata__` → texts; then the
// tensors' bytes, row-major, little-endian, without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/ElementType.h"
#include "engine/files/PlainFile.h"

namespace lockstep {

/// An open safetensors file whose header has been checked against the file's size. Errors name the file.
class SafetensorsFile {
 public:
  static constexpr std::size_t kMostHeaderBytes = 100'000'000;  ///< the reference reader's own limit

  struct Entry {
    ElementType type = ElementType::kFloat;
    std::vector<std::int64_t> sizes;
    std::uint64_t begin = 0;  ///< of its bytes, from the end of the header
    std::uint64_t end = 0;
  };

  /// Throws InputError for a file that is truncated or whose header does not describe it.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::string& name() const { return file_.name(); }  ///< its path
  const std::map<std::string, Entry>& entries() const { return entries_; }
  /// The texts of `__metadata__`.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Where the header ends and the bytes of the first entry begin.
  std::uint64_t data_start() const { return data_start_; }
  /// The checksum (common/Crc32c.h) of all bytes before these.
  std::uint32_t header_crc32c() const { return header_crc32c_; }
  /// Reads the bytes of an entry into `bytes`, of its size. Throws InputError.
  void read(const std::string& name, std::span<std::byte> bytes) const;
  /// Reads some of an entry's bytes, from `at` on. Throws InputError.
  void read_at(const Entry& entry, std::uint64_t at, std::span<std::byte> bytes) const;

  /// "F32": what a header calls the type.
  static std::string type_name(ElementType type);

 private:
  PlainFile file_;
  std::uint32_t header_crc32c_ = 0;
  std::uint64_t data_start_ = 0;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace lockstep
