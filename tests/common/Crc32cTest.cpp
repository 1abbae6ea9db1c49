#include "common/Crc32c.h"

#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace lockstep
