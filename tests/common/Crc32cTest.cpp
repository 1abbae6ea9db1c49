#include "common/Crc32c.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lockstep {
namespace {

std::uint32_t checksum(std::string_view text, std::uint32_t previous = 0) {
  return crc32c(std::as_bytes(std::span(text)), previous);
}

// RFC 3720, appendix B.4, and the usual check value.
TEST(Crc32c, KnownValues) {
  EXPECT_EQ(checksum(""), 0u);
  EXPECT_EQ(checksum("123456789"), 0xE3069283u);
  EXPECT_EQ(checksum(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(checksum(std::string(32, '\xFF')), 0x62A8AB43u);
}

TEST(Crc32c, ContinuesWhereverTheBytesAreCut) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += static_cast<char>(i * 37);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(checksum(text.substr(cut), checksum(text.substr(0, cut))), checksum(text)) << cut;
  }
}

TEST(Crc32c, OfPartsMakesThatOfAll) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 37);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const std::string second = text.substr(cut);
    EXPECT_EQ(crc32c_joined(checksum(text.substr(0, cut)), checksum(second), second.size()), checksum(text)) << cut;
  }
}

// A long text is computed in lanes side by side, a short one as one.
TEST(Crc32c, IsTheSameAtOnceAndInShortPieces) {
  std::string text;
  for (std::uint32_t i = 0, state = 1; i < 200'003; ++i, state = state * 1664525 + 1013904223) {
    text += static_cast<char>(state >> 24);
  }
  for (const std::size_t begin : {0, 1, 7}) {
    for (const std::size_t size : {24'575, 24'576, 24'577, 49'152, 100'000, 199'996}) {
      const std::string_view all = std::string_view(text).substr(begin, size);
      std::uint32_t pieces = 0;
      for (std::size_t at = 0; at < size; at += 1000) pieces = checksum(all.substr(at, 1000), pieces);
      EXPECT_EQ(checksum(all), pieces) << size << " bytes from " << begin;
    }
  }
}

}  // namespace
}  // namespace lockstep
