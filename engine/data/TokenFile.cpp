#include "engine/data/TokenFile.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "common/Error.h"
#include "engine/files/InputFile.h"

namespace lockstep {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr std::size_t kHeaderBytes = 1024;  // of llm.c's files
constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 48;

struct HeaderRow {
  std::uint32_t magic;
  std::uint32_t version;
  TokenType type;
};
constexpr HeaderRow kHeaders[] = {{20240520, 1, {.bytes = 2}}, {20240801, 7, {.bytes = 4}}};
constexpr std::uint32_t kEvaluationMagic = 20240522;  // llm.c's multiple-choice questions

constexpr std::string_view kIndexMagic{"MMIDIDX\0\0", 9};
constexpr std::uint64_t kIndexHeader = 34;
// By the index's code for them. Real numbers (6 and 7) are no tokens.
constexpr TokenType kIndexTypes[] = {{.bytes = 0},
                                     {.bytes = 1},
                                     {.bytes = 1, .is_signed = true},
                                     {.bytes = 2, .is_signed = true},
                                     {.bytes = 4, .is_signed = true},
                                     {.bytes = 8, .is_signed = true},
                                     {.bytes = 0},
                                     {.bytes = 0},
                                     {.bytes = 2}};

template <typename Number>
Number number_at(std::span<const std::uint8_t> bytes, std::size_t offset) {
  Number number{};
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

template <typename Number>
Number number_at(const RandomAccessFile& file, std::uint64_t offset) {
  Number number{};
  file.read_at(offset, std::as_writable_bytes(std::span(&number, 1)));
  return number;
}

bool is_index(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= kIndexMagic.size() && std::memcmp(bytes.data(), kIndexMagic.data(), kIndexMagic.size()) == 0;
}

const HeaderRow* header_row(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 4) return nullptr;
  const auto* const row = std::ranges::find(kHeaders, number_at<std::uint32_t>(bytes, 0), &HeaderRow::magic);
  return row == std::end(kHeaders) ? nullptr : row;
}

// The upper halves of numbers below 2^18, as no vocabulary is larger. Of uint16, half of a text's tokens would be 0
// to 3.
bool looks_like_uint32(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kFewest = 16;
  if (bytes.size() < 4 * kFewest) return false;
  bool lower = false;
  for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
    if (number_at<std::uint16_t>(bytes, i + 2) > 3) return false;
    lower = lower || number_at<std::uint16_t>(bytes, i) > 3;
  }
  return lower;
}

// The upper halves of int64 below 2^32.
bool looks_like_int64(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kFewest = 16;
  if (bytes.size() < 8 * kFewest) return false;
  bool lower = false;
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    if (number_at<std::uint32_t>(bytes, i + 4) != 0) return false;
    lower = lower || number_at<std::uint32_t>(bytes, i) != 0;
  }
  return lower;
}

template <typename Number>
void widen(const std::vector<std::byte>& stored, std::span<std::int64_t> tokens) {
  const std::byte* from = stored.data();
  for (std::int64_t& token : tokens) {
    Number number{};
    std::memcpy(&number, from, sizeof number);
    token = static_cast<std::int64_t>(number);
    from += sizeof number;
  }
}

struct Index {
  TokenType type;
  std::uint64_t end = 0;  ///< of the last sequence, in bytes
};

Index read_index(const fs::path& path) {
  const RandomAccessFile file(path);
  std::vector<std::uint8_t> header(kIndexHeader);
  file.read_at(0, std::as_writable_bytes(std::span(header)));
  const auto refuse = [&](const std::string& what, std::uint64_t offset) {
    return InputError(path.string() + " is no index of Megatron-LM's that Lockstep reads: " + what + " at byte " +
                      std::to_string(offset));
  };
  if (!is_index(header)) throw refuse("expected MMIDIDX", 0);
  if (const auto version = number_at<std::uint64_t>(header, 9); version != 1) {
    throw refuse("expected the version 1, found " + std::to_string(version), 9);
  }
  const std::size_t code = header[17];
  if (code >= std::size(kIndexTypes) || kIndexTypes[code].bytes == 0) {
    throw refuse("expected the code of a type of integers (1 to 5 or 8), found " + std::to_string(code), 17);
  }
  const auto sequences = number_at<std::uint64_t>(header, 18);
  const auto documents = number_at<std::uint64_t>(header, 26);
  if (sequences == 0 || sequences > kMostTokens || documents > kMostTokens) {
    throw refuse("impossible counts, " + std::to_string(sequences) + " sequences and " + std::to_string(documents) +
                     " documents,",
                 18);
  }
  const std::uint64_t pointers = kIndexHeader + 4 * sequences;
  const std::uint64_t end = pointers + 8 * sequences + 8 * documents;
  if (file.size() != end && file.size() != end + sequences) {
    throw InputError(path.string() + " has " + std::to_string(file.size()) + " bytes; its header says " +
                     std::to_string(sequences) + " sequences and " + std::to_string(documents) +
                     " documents, which end at byte " + std::to_string(end) + "; copy it again");
  }
  const auto first = number_at<std::int64_t>(file, pointers);
  const auto last = number_at<std::int64_t>(file, pointers + 8 * (sequences - 1));
  const auto length = number_at<std::int32_t>(file, pointers - 4);
  if (first != 0) throw refuse("its first sequence begins at " + std::to_string(first) + ", by what is", pointers);
  if (last < 0 || static_cast<std::uint64_t>(last) > kMostTokens || length < 0) {
    throw refuse("impossible place of the last sequence", pointers + 8 * (sequences - 1));
  }
  return {.type = kIndexTypes[code],
          .end = static_cast<std::uint64_t>(last) + static_cast<std::uint64_t>(length) * kIndexTypes[code].bytes};
}

}  // namespace

std::string to_string(TokenType type) { return (type.is_signed ? "int" : "uint") + std::to_string(8 * type.bytes); }

bool begins_token_file(std::span<const std::uint8_t> bytes) { return is_index(bytes) || header_row(bytes) != nullptr; }

TokenFile::TokenFile(const fs::path& path) : file_(path) {
  std::vector<std::uint8_t> head(std::min<std::uint64_t>(file_.size(), 4096));
  file_.read_at(0, std::as_writable_bytes(std::span(head)));
  if (header_row(head) != nullptr) {
    read_header(head);
    return;
  }
  if (head.size() >= 4 && number_at<std::uint32_t>(head, 0) == kEvaluationMagic) {
    throw InputError(file_.name() +
                     " holds questions for llm.c's evaluation, by its magic number at byte 0; training "
                     "takes a file of tokens");
  }
  decide_type(content_name(path.filename().string()), head);
  if (file_.size() % type_.bytes != 0) {
    throw InputError(file_.name() + " is truncated at byte " + std::to_string(file_.size()) + ", within a token of " +
                     to_string(type_) + "; copy or convert it again");
  }
  size_ = static_cast<std::int64_t>(file_.size() / type_.bytes);
}

void TokenFile::read_header(std::span<const std::uint8_t> head) {
  const HeaderRow& row = *header_row(head);
  if (head.size() < kHeaderBytes) {
    throw InputError(file_.name() + " is truncated at byte " + std::to_string(head.size()) + ", in its header of " +
                     std::to_string(kHeaderBytes) + " bytes; copy or convert it again");
  }
  if (const auto version = number_at<std::uint32_t>(head, 4); version != row.version) {
    throw InputError(file_.name() + ": expected the version " + std::to_string(row.version) +
                     " of llm.c's files at byte 4, found " + std::to_string(version));
  }
  type_ = row.type;
  start_ = kHeaderBytes;
  size_ = number_at<std::int32_t>(head, 8);
  if (size_ < 0) throw InputError(file_.name() + ": impossible count of tokens at byte 8: " + std::to_string(size_));
  if (offset(size_) != file_.size()) {
    throw InputError(file_.name() + (file_.size() < offset(size_) ? " is truncated at byte " : " goes on to byte ") +
                     std::to_string(file_.size()) + ": its header says " + std::to_string(size_) + " tokens of " +
                     to_string(type_) + ", which end at byte " + std::to_string(offset(size_)) +
                     "; copy or convert it again");
  }
}

void TokenFile::decide_type(std::string_view name, std::span<const std::uint8_t> head) {
  if (!name.ends_with(".uint16.bin") && looks_like_int64(head)) {
    throw InputError(file_.name() +
                     " has no header, and every second number of 32 bits is 0 from byte 0 on: its tokens seem to be "
                     "int64; write them as uint16 or uint32");
  }
  for (const TokenType type : {TokenType{.bytes = 2}, TokenType{.bytes = 4}}) {
    if (!name.ends_with("." + to_string(type) + ".bin")) continue;
    type_ = type;
    return;
  }
  if (looks_like_uint32(head)) {
    throw InputError(file_.name() +
                     " has no header, so that its tokens would be uint16, and every second of them is "
                     "below 4 from byte 0 on: they seem to be uint32; give it a name that ends with .uint32.bin, or "
                     "with .uint16.bin if they are not");
  }
  type_assumed_ = true;
}

TokenFile::TokenFile(const fs::path& path, const fs::path& index) : file_(path) {
  const Index found = read_index(index);
  type_ = found.type;
  size_ = static_cast<std::int64_t>(found.end / type_.bytes);
  if (file_.size() == found.end && file_.size() % type_.bytes == 0) return;
  throw InputError(file_.name() + (file_.size() < found.end ? " is truncated at byte " : " goes on to byte ") +
                   std::to_string(file_.size()) + ": by its index " + index.string() +
                   " its last sequence ends at byte " + std::to_string(found.end) + "; copy both again");
}

void TokenFile::read(std::int64_t first, std::span<std::int64_t> tokens) const {
  thread_local std::vector<std::byte> stored;
  stored.resize(tokens.size() * type_.bytes);
  file_.read_at(offset(first), stored);
  switch (type_.bytes) {
    case 1:
      return type_.is_signed ? widen<std::int8_t>(stored, tokens) : widen<std::uint8_t>(stored, tokens);
    case 2:
      return type_.is_signed ? widen<std::int16_t>(stored, tokens) : widen<std::uint16_t>(stored, tokens);
    case 4:
      return type_.is_signed ? widen<std::int32_t>(stored, tokens) : widen<std::uint32_t>(stored, tokens);
    default:
      return widen<std::int64_t>(stored, tokens);
  }
}

}  // namespace lockstep
