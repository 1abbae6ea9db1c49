#include "job/Json.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

using nlohmann::json;

std::string repeated(const std::string& text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

TEST(ParseJson, ReadsEveryKindOfValue) {
  const std::string text = R"({"a": [1, -2, 3.5, true, false, null, "x\n", {}, []], "b": {"c": 18446744073709551615}})";
  EXPECT_EQ(parse_json(text, "it"), json::parse(text));
  EXPECT_EQ(parse_json(" 7 ", "it"), 7);
}

TEST(ParseJson, SaysWhereTextIsNoJson) {
  for (const char* text : {"", "{", "[1,]", "{\"a\" 1}", "nul", "[1] 2", "\"\xFF\"", "\"a", "{1: 2}"}) {
    EXPECT_ERROR(parse_json(text, "model.json"), InputError, "model.json is not JSON");
  }
}

// Values nested 100,000 deep crashed whoever copied, wrote or compared them.
TEST(ParseJson, RefusesWhatIsNestedSoDeepThatRecursionWouldCrash) {
  constexpr std::size_t kDeep = 100'000;
  for (const char* open : {"[", "{\"a\":", "[{\"a\":"}) {
    EXPECT_ERROR(parse_json(repeated(open, kDeep), "model.json"), InputError,
                 "model.json is nested more than 100 deep");
  }
  const std::string deepest = repeated("[", 100) + repeated("]", 100);
  EXPECT_EQ(parse_json(deepest, "it").dump(), deepest);
  EXPECT_ERROR(parse_json("[" + deepest + "]", "it"), InputError, "more than 100 deep");
}

TEST(ParseJson, RefusesOneKeyTwiceInOneObject) {
  EXPECT_ERROR(parse_json(R"({"a": 1, "b": {"a": 1}, "a": 2})", "it"), InputError, "it holds the key \"a\" twice");
  EXPECT_NO_THROW(parse_json(R"([{"a": 1}, {"a": 2, "b": {"a": 3}}])", "it"));
}

TEST(ParseJson, BoundsBytesAndValues) {
  EXPECT_ERROR(parse_json("[1, 2]", "it", {.bytes = 5}), InputError, "it has 6 bytes of JSON; at most 5 are read");
  EXPECT_ERROR(parse_json("[1, 2, []]", "it", {.values = 3}), InputError, "it holds more than 3 values");
  EXPECT_NO_THROW(parse_json("[1, 2]", "it", {.values = 3}));
}

TEST(ReadInt, TakesIntegersOfTheRange) {
  EXPECT_EQ(read_int(json(-7)), -7);
  EXPECT_EQ(read_int(json::parse("9223372036854775807")), std::numeric_limits<std::int64_t>::max());
  for (const char* other : {"9223372036854775808", "1.5", "1e+300", "\"1\"", "null", "true", "[]"}) {
    EXPECT_ERROR(read_int(json::parse(other)), InputError, "expected an integer", other);
  }
  EXPECT_ERROR(read_int(json(11), 0, 10), InputError, "from 0 to 10, found 11");
}

TEST(TextList, ShowsTheBeginningOfWhatItIsNot) {
  EXPECT_EQ(text_list(json::parse(R"(["a", "b"])"), "it"), (std::vector<std::string>{"a", "b"}));
  try {
    text_list(json(std::string(100'000, 'x')), "it");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_LT(std::string(error.what()).size(), 300);
  }
}

}  // namespace
}  // namespace lockstep
