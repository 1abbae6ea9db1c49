#include "common/Text.h"

#include <gtest/gtest.h>

#include <limits>

#include "common/Digest.h"

namespace lockstep {
namespace {

TEST(Nearest, FindsTheLikelyWordAndNoOther) {
  const std::vector<std::string> names = {"batch_size", "epochs", "learning_rate", "momentum"};
  EXPECT_EQ(nearest("batchsize", names), "batch_size");
  EXPECT_EQ(nearest("learning-rate", names), "learning_rate");
  EXPECT_EQ(nearest("epoch", names), "epochs");
  EXPECT_EQ(nearest("batch", names), "batch_size");
  EXPECT_EQ(nearest("lr", names), "learning_rate");
  EXPECT_EQ(nearest("frobnicate_everything", names), "");
  EXPECT_EQ(nearest("", names), "");
}

TEST(Quoted, EscapesAndCuts) {
  EXPECT_EQ(in_quotes(std::string("a\"b\\\n\x7f")), "\"a\\\"b\\\\\\x0a\\x7f\"");
  EXPECT_EQ(in_quotes(std::string(500, 'x')), "\"" + std::string(120, 'x') + "…\"");
}

TEST(Join, TextsAndNumbers) {
  EXPECT_EQ(join(std::vector<std::string>{"a", "b"}, ", "), "a, b");
  EXPECT_EQ(join(std::vector<std::int64_t>{1, 28, 28}, " × "), "1 × 28 × 28");
  EXPECT_EQ(join(std::vector<std::int64_t>{}, ", "), "");
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_EQ(split("a.b", '.'), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(split(".a..", '.'), (std::vector<std::string>{"", "a", "", ""}));
  EXPECT_EQ(split("", '.'), (std::vector<std::string>{""}));
}

TEST(WithCommas, GroupsThousands) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(-1234567), "-1,234,567");
  EXPECT_EQ(with_commas(std::numeric_limits<long long>::min()), "-9,223,372,036,854,775,808");
}

TEST(Digest, TellsContentsAndTheirBoundariesApart) {
  const auto of = [](std::initializer_list<std::string_view> parts) {
    Digest digest;
    for (const auto part : parts) digest.update(part);
    return digest.hex();
  };
  EXPECT_EQ(of({"abc"}), of({"abc"}));
  EXPECT_NE(of({"ab", "c"}), of({"a", "bc"}));
  EXPECT_NE(of({"abcdefgh"}), of({"abcdefgi"}));
  EXPECT_NE(of({"a"}), of({std::string_view("a\0", 2)}));
  EXPECT_NE(of({"bbcdefgh12345678"}), of({"abcdefgh12345679"}));
}

}  // namespace
}  // namespace lockstep
