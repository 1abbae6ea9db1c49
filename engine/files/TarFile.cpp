#include "engine/files/TarFile.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr std::uint64_t kBlock = 512;
constexpr std::uint64_t kMostNameBytes = 1 << 20;  // of a long name, or of the records before a member

using Block = std::array<char, kBlock>;

std::string_view field(const Block& block, std::size_t offset, std::size_t length) {
  const std::string_view whole(block.data() + offset, length);
  return whole.substr(0, whole.find('\0'));
}

// Octal digits among spaces and zeros; or a big-endian number, whose first byte has its highest bit set.
std::optional<std::uint64_t> number(const Block& block, std::size_t offset, std::size_t length) {
  const std::string_view whole(block.data() + offset, length);
  if ((static_cast<std::uint8_t>(whole[0]) & 0x80U) != 0) {
    std::uint64_t value = static_cast<std::uint8_t>(whole[0]) & 0x7fU;
    for (const char byte : whole.substr(1)) {
      if (value >> 55U != 0) return std::nullopt;
      value = value << 8U | static_cast<std::uint8_t>(byte);
    }
    return value;
  }
  std::string_view digits = whole.substr(std::min(whole.find_first_not_of(' '), whole.size()));
  digits = digits.substr(0, std::min(digits.find_first_of(std::string_view(" \0", 2)), digits.size()));
  std::uint64_t value = 0;
  if (digits.empty()) return value;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// Of all bytes, those of the checksum taken as spaces.
bool checksum_fits(const Block& block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<std::uint8_t>(block[i]);
  return number(block, 148, 8) == sum;
}

}  // namespace

struct TarReader::Header {
  TarMember member;
  char type = '0';
};

bool TarReader::begins(std::string_view bytes) { return bytes.size() >= kBlock && bytes.substr(257, 5) == "ustar"; }

void TarReader::refuse(std::uint64_t offset, const std::string& cause) const {
  throw InputError(file_.name() + " is not an intact tar file: at byte " + std::to_string(offset) + ", " + cause +
                   "; copy or pack it again");
}

std::optional<TarReader::Header> TarReader::read_header() {
  Block block;
  do {  // zeros end an archive, and another may follow: so do those of a stream
    if (offset_ == file_.size()) return std::nullopt;
    if (file_.size() - offset_ < kBlock) refuse(offset_, "it is truncated within a header");
    file_.read_at(offset_, std::as_writable_bytes(std::span(block)));
    offset_ += kBlock;
  } while (std::ranges::all_of(block, [](char byte) { return byte == 0; }));
  const std::uint64_t begin = offset_ - kBlock;
  const std::optional<std::uint64_t> length = number(block, 124, 12);
  if (!checksum_fits(block) || !length) refuse(begin, "a header was expected, and its checksum does not fit");
  Header header = {.member = {.name = std::string(field(block, 0, 100)), .offset = begin + kBlock, .length = *length},
                   .type = block[156]};
  // GNU's own form has other things where ustar has the first part of the name.
  if (std::string_view(block.data() + 257, 6) == std::string_view("ustar\0", 6) && block[345] != 0) {
    header.member.name = std::string(field(block, 345, 155)) + "/" + header.member.name;
  }
  const bool described = header.type == 'x' || header.type == 'g' || header.type == 'L' || header.type == 'K';
  if (!described && long_length_) header.member.length = *long_length_;
  const std::uint64_t left = file_.size() - header.member.offset;
  if (header.member.length > left) {
    refuse(begin, "a member of " + std::to_string(header.member.length) + " bytes begins, and " + std::to_string(left) +
                      " are left: it is truncated");
  }
  const std::uint64_t blocks = (header.member.length + kBlock - 1) / kBlock;
  offset_ = std::min(header.member.offset + blocks * kBlock, file_.size());
  return header;
}

std::string TarReader::text_of(const TarMember& member) const {
  if (member.length > kMostNameBytes) {
    refuse(member.offset, "a name of " + std::to_string(member.length) + " bytes was found; expected at most " +
                              std::to_string(kMostNameBytes));
  }
  std::string text(member.length, '\0');
  file_.read_at(member.offset, std::as_writable_bytes(std::span(text)));
  return text;
}

// Each is "LENGTH KEY=VALUE\n"; the length counts all of it.
void TarReader::read_pax(const std::string& records) {
  for (std::string_view left = records; !left.empty();) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(left.data(), left.data() + left.size(), length);
    const auto digits = static_cast<std::size_t>(end - left.data());
    if (error != std::errc() || length > left.size() || length < digits + 2 || left[digits] != ' ') {
      refuse(offset_, "the records before this member are damaged");
    }
    const std::string_view record = left.substr(digits + 1, length - digits - 2);
    const std::size_t equals = std::min(record.find('='), record.size());
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(std::min(equals + 1, record.size()));
    if (key == "path") long_name_ = value;
    if (key == "size") {
      std::uint64_t size = 0;
      const auto [last, wrong] = std::from_chars(value.data(), value.data() + value.size(), size);
      if (wrong != std::errc() || last != value.data() + value.size())
        refuse(offset_, "the size of a member is damaged");
      long_length_ = size;
    }
    left.remove_prefix(length);
  }
}

std::optional<TarMember> TarReader::next() {
  while (std::optional<Header> header = read_header()) {
    TarMember& member = header->member;
    if (header->type == 'x') {
      read_pax(text_of(member));
    } else if (header->type == 'L') {
      const std::string name = text_of(member);
      long_name_ = name.substr(0, name.find('\0'));
    } else if (header->type != 'g' && header->type != 'K') {
      const std::string long_name = std::exchange(long_name_, "");
      long_length_.reset();
      if (!long_name.empty()) member.name = long_name;
      if (header->type == '0' || header->type == '\0' || header->type == '7') return member;
    }
  }
  return std::nullopt;
}

}  // namespace lockstep
