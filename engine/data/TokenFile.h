// Files of tokens: the numbers of a text's pieces, one behind the other.
//
// Sources: karpathy/llm.c, dev/data/data_common.py (write_datafile): 256 int32 (magic number, version, count of tokens,
// zeros), then the tokens: uint16 where magic and version are 20240520 and 1, uint32 where they are 20240801 and 7.
// NVIDIA/Megatron-LM, megatron/core/datasets/indexed_dataset.py: tokens alone in NAME.bin; in NAME.idx "MMIDIDX\0\0",
// the version 1 (64 bits), the type (8 bits), the counts of sequences and of documents (64 bits each), then of each
// sequence its length (int32) and of each its offset in bytes (int64), of each document its first sequence (int64), and
// maybe of each sequence its mode (int8). karpathy/nanoGPT, data/*/prepare.py: tokens alone, uint16. All little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "common/ElementType.h"
#include "engine/files/RandomAccessFile.h"

namespace lockstep {

/// Whether a file that begins with these bytes is one of llm.c's, or an index of Megatron-LM's.
bool begins_token_file(std::span<const std::uint8_t> bytes);

/// An open file of tokens, whose header or index has been checked against its size. Errors name file and byte.
class TokenFile {
 public:
  /// A file of llm.c's, or tokens alone: those are uint32 where the file's name ends with .uint32.bin, else uint16.
  /// Throws InputError for another number of bytes than the header says or tokens have, and for tokens that look like
  /// uint32 unless the name ends with .uint16.bin.
  explicit TokenFile(const std::filesystem::path& path);
  /// One of Megatron-LM's, with its index. Throws InputError when the two do not fit.
  TokenFile(const std::filesystem::path& path, const std::filesystem::path& index);

  const RandomAccessFile& file() const { return file_; }
  ElementType type() const { return type_; }           ///< of the tokens, as stored
  bool type_assumed() const { return type_assumed_; }  ///< neither the file nor its name says it
  std::int64_t size() const { return size_; }          ///< in tokens
  std::uint64_t offset(std::int64_t token) const { return start_ + static_cast<std::uint64_t>(token) * size_of(type_); }
  /// Fills `tokens` with those from `first` on. Thread-safe. Throws InputError for a file that has become shorter.
  void read(std::int64_t first, std::span<std::int64_t> tokens) const;

 private:
  void read_header(std::span<const std::uint8_t> head);
  void decide_type(std::string_view name, std::span<const std::uint8_t> head);

  RandomAccessFile file_;
  ElementType type_ = ElementType::kUint16;
  bool type_assumed_ = false;
  std::uint64_t start_ = 0;  ///< of the first token
  std::int64_t size_ = 0;
};

}  // namespace lockstep
