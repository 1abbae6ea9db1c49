#include "engine/data/TokenFile.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "common/Error.h"
#include "engine/data/Transform.h"
#include "engine/files/InputFile.h"
#include "engine/files/NumberAt.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kHeaderBytes = 1024;  // of llm.c's files
constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 48;

struct HeaderRow {
  std::uint32_t magic;
  std::uint32_t version;
  ElementType type;
};
constexpr HeaderRow kHeaders[] = {{20240520, 1, ElementType::kUint16}, {20240801, 7, ElementType::kUint32}};
constexpr std::uint32_t kEvaluationMagic = 20240522;  // llm.c's multiple-choice questions

constexpr std::string_view kIndexMagic{"MMIDIDX\0\0", 9};
constexpr std::uint64_t kIndexHeader = 34;
// By the index's code for them. Real numbers (6 and 7) are no tokens.
constexpr std::optional<ElementType> kIndexTypes[] = {std::nullopt,        ElementType::kUint8, ElementType::kInt8,
                                                      ElementType::kInt16, ElementType::kInt32, ElementType::kInt64,
                                                      std::nullopt,        std::nullopt,        ElementType::kUint16};

template <typename Number>
Number number_in(const RandomAccessFile& file, std::uint64_t offset) {
  Number number{};
  file.read_at(offset, std::as_writable_bytes(std::span(&number, 1)));
  return number;
}

bool is_index(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= kIndexMagic.size() && std::memcmp(bytes.data(), kIndexMagic.data(), kIndexMagic.size()) == 0;
}

const HeaderRow* header_row(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 4) return nullptr;
  const auto* const row = std::ranges::find(kHeaders, number_at<std::uint32_t>(bytes.data()), &HeaderRow::magic);
  return row == std::end(kHeaders) ? nullptr : row;
}

// Whether these are numbers of twice as many bits as Half: the upper half of each is at most `most`, and not so the
// lower ones.
template <typename Half>
bool looks_like_twice(std::span<const std::uint8_t> bytes, Half most) {
  constexpr std::size_t kFewest = 16;
  constexpr std::size_t kWidth = 2 * sizeof(Half);
  if (bytes.size() < kWidth * kFewest) return false;
  bool lower = false;
  for (std::size_t i = 0; i + kWidth <= bytes.size(); i += kWidth) {
    if (number_at<Half>(bytes.data() + i + sizeof(Half)) > most) return false;
    lower = lower || number_at<Half>(bytes.data() + i) > most;
  }
  return lower;
}

// Below 2^18, as no vocabulary is larger. Of uint16, half of a text's tokens would be 0 to 3.
bool looks_like_uint32(std::span<const std::uint8_t> bytes) { return looks_like_twice<std::uint16_t>(bytes, 3); }

// Below 2^32.
bool looks_like_int64(std::span<const std::uint8_t> bytes) { return looks_like_twice<std::uint32_t>(bytes, 0); }

struct Index {
  ElementType type;
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
  if (const auto version = number_at<std::uint64_t>(header.data() + 9); version != 1) {
    throw refuse("expected the version 1, found " + std::to_string(version), 9);
  }
  const std::size_t code = header[17];
  if (code >= std::size(kIndexTypes) || !kIndexTypes[code]) {
    throw refuse("expected the code of a type of integers (1 to 5 or 8), found " + std::to_string(code), 17);
  }
  const auto sequences = number_at<std::uint64_t>(header.data() + 18);
  const auto documents = number_at<std::uint64_t>(header.data() + 26);
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
  const auto first = number_in<std::int64_t>(file, pointers);
  const auto last = number_in<std::int64_t>(file, pointers + 8 * (sequences - 1));
  const auto length = number_in<std::int32_t>(file, pointers - 4);
  if (first != 0) throw refuse("its first sequence begins at " + std::to_string(first) + ", by what is", pointers);
  if (last < 0 || static_cast<std::uint64_t>(last) > kMostTokens || length < 0) {
    throw refuse("impossible place of the last sequence", pointers + 8 * (sequences - 1));
  }
  const ElementType type = *kIndexTypes[code];
  return {.type = type, .end = static_cast<std::uint64_t>(last) + static_cast<std::uint64_t>(length) * size_of(type)};
}

}  // namespace

bool begins_token_file(std::span<const std::uint8_t> bytes) { return is_index(bytes) || header_row(bytes) != nullptr; }

TokenFile::TokenFile(const fs::path& path) : file_(path) {
  std::vector<std::uint8_t> head(std::min<std::uint64_t>(file_.size(), 4096));
  file_.read_at(0, std::as_writable_bytes(std::span(head)));
  if (header_row(head) != nullptr) {
    read_header(head);
    return;
  }
  if (head.size() >= 4 && number_at<std::uint32_t>(head.data()) == kEvaluationMagic) {
    throw InputError(file_.name() +
                     " holds questions for llm.c's evaluation, by its magic number at byte 0; training "
                     "takes a file of tokens");
  }
  decide_type(content_name(path.filename().string()), head);
  if (file_.size() % size_of(type_) != 0) {
    throw InputError(file_.name() + " is truncated at byte " + std::to_string(file_.size()) + ", within a token of " +
                     to_string(type_) + "; copy or convert it again");
  }
  size_ = static_cast<std::int64_t>(file_.size() / size_of(type_));
}

void TokenFile::read_header(std::span<const std::uint8_t> head) {
  const HeaderRow& row = *header_row(head);
  if (head.size() < kHeaderBytes) {
    throw InputError(file_.name() + " is truncated at byte " + std::to_string(head.size()) + ", in its header of " +
                     std::to_string(kHeaderBytes) + " bytes; copy or convert it again");
  }
  if (const auto version = number_at<std::uint32_t>(head.data() + 4); version != row.version) {
    throw InputError(file_.name() + ": expected the version " + std::to_string(row.version) +
                     " of llm.c's files at byte 4, found " + std::to_string(version));
  }
  type_ = row.type;
  start_ = kHeaderBytes;
  size_ = number_at<std::int32_t>(head.data() + 8);
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
  for (const ElementType type : {ElementType::kUint16, ElementType::kUint32}) {
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
  size_ = static_cast<std::int64_t>(found.end / size_of(type_));
  if (file_.size() == found.end && file_.size() % size_of(type_) == 0) return;
  throw InputError(file_.name() + (file_.size() < found.end ? " is truncated at byte " : " goes on to byte ") +
                   std::to_string(file_.size()) + ": by its index " + index.string() +
                   " its last sequence ends at byte " + std::to_string(found.end) + "; copy both again");
}

void TokenFile::read(std::int64_t first, std::span<std::int64_t> tokens) const {
  thread_local std::vector<std::byte> stored;
  stored.resize(tokens.size() * size_of(type_));
  file_.read_at(offset(first), stored);
  Transform(type_, ElementType::kInt64, false)
      .run(stored.data(), static_cast<std::int64_t>(tokens.size()), reinterpret_cast<std::byte*>(tokens.data()));
}

}  // namespace lockstep
