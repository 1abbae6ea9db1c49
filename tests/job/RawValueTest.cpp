#include "job/RawValue.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using nlohmann::json;

/// A text, and how Python's json.dumps and repr write it.
struct Text {
  const char* value;
  const char* json;
  const char* python;
};
constexpr Text kTexts[] = {
    {"adam w", "\"adam w\"", "'adam w'"},
    {"it's", "\"it's\"", "\"it's\""},
    {"say \"hi\"", "\"say \\\"hi\\\"\"", "'say \"hi\"'"},
    {"it's \"both\"", "\"it's \\\"both\\\"\"", "'it\\'s \"both\"'"},
    {"$HOME", "\"$HOME\"", "'$HOME'"},
    {"; echo hi", "\"; echo hi\"", "'; echo hi'"},
    {"`id`", "\"`id`\"", "'`id`'"},
    {"$(id)", "\"$(id)\"", "'$(id)'"},
    {"a && b | c > d", "\"a && b | c > d\"", "'a && b | c > d'"},
    {"line\nbreak", "\"line\\nbreak\"", "'line\\nbreak'"},
    {"tab\there", "\"tab\\there\"", "'tab\\there'"},
    {"back\\slash", "\"back\\\\slash\"", "'back\\\\slash'"},
    {"C:\\new\\table", "\"C:\\\\new\\\\table\"", "'C:\\\\new\\\\table'"},
    {"ends in \\", "\"ends in \\\\\"", "'ends in \\\\'"},
    {"naïve café ☃", "\"na\\u00efve caf\\u00e9 \\u2603\"", "'naïve café ☃'"},
    {"日本語", "\"\\u65e5\\u672c\\u8a9e\"", "'日本語'"},
    {"😀", "\"\\ud83d\\ude00\"", "'😀'"},
    {"\033[31m", "\"\\u001b[31m\"", "'\\x1b[31m'"},
    {"\177", "\"\\u007f\"", "'\\x7f'"},
    {"\u200b", "\"\\u200b\"", "'\\u200b'"},
    {"\U000E0001", "\"\\udb40\\udc01\"", "'\\U000e0001'"},
    {"1e-05", "\"1e-05\"", "'1e-05'"},
    {"NaN", "\"NaN\"", "'NaN'"},
    {"Infinity", "\"Infinity\"", "'Infinity'"},
    {"-0", "\"-0\"", "'-0'"},
    {"12345678901234567890", "\"12345678901234567890\"", "'12345678901234567890'"},
    {"1_000", "\"1_000\"", "'1_000'"},
    {"007", "\"007\"", "'007'"},
    {"0x1F", "\"0x1F\"", "'0x1F'"},
    {"True", "\"True\"", "'True'"},
    {"False", "\"False\"", "'False'"},
    {"None", "\"None\"", "'None'"},
    {"null", "\"null\"", "'null'"},
    {"true", "\"true\"", "'true'"},
    {"{'a': None}", "\"{'a': None}\"", "\"{'a': None}\""},
    {"{\"a\": [1, {\"b\": true}]}", "\"{\\\"a\\\": [1, {\\\"b\\\": true}]}\"", "'{\"a\": [1, {\"b\": true}]}'"},
    {"[64, 128, 'x']", "\"[64, 128, 'x']\"", "\"[64, 128, 'x']\""},
    {"(64,)", "\"(64,)\"", "'(64,)'"},
    {"--flag=like", "\"--flag=like\"", "'--flag=like'"},
    {"a=b,c=d", "\"a=b,c=d\"", "'a=b,c=d'"},
    {"'quoted'", "\"'quoted'\"", "\"'quoted'\""},
    {"%s %d \\x41", "\"%s %d \\\\x41\"", "'%s %d \\\\x41'"},
    {" spaces around ", "\" spaces around \"", "' spaces around '"},
};

TEST(RawValue, ATextArrivesUnchangedInEveryEncoding) {
  for (const Text& text : kTexts) {
    EXPECT_EQ(RawValue(text.json).text(), text.value);   // estimators with an entry point
    EXPECT_EQ(RawValue(text.value).text(), text.value);  // the generic estimator, boto3, flags, job files
    const json inside = {{"match", text.value}};
    EXPECT_EQ(RawValue(inside).structure(), inside) << text.value;
    EXPECT_EQ(RawValue(std::string("{\"match\": ") + text.json + "}").structure(), inside) << text.json;
    EXPECT_EQ(RawValue(std::string("{'match': ") + text.python + "}").structure(), inside) << text.python;
  }
}

TEST(RawValue, WhatIsNoTextMeansTheSameInJsonAndPython) {
  constexpr std::pair<const char*, const char*> values[] = {
      {"[64, 128, \"x\"]", "[64, 128, 'x']"},
      {"{\"a\": {\"b\": 1.5}, \"c\": true}", "{'a': {'b': 1.5}, 'c': True}"},
      {"{\"a\": {\"b\": true}}", "{'a': {'b': True}}"},
      {"[null, false]", "[None, False]"},
      {"[]", "[]"},
      {"{}", "{}"},
      {"[1e-05, -2, 0.1]", "[1e-05, -2, 0.1]"},
      {"[64]", "(64,)"},
      {"[1, [2, 3]]", "(1, (2, 3))"},
      {"5", "5"},
      {"1e-05", "1e-05"},
      {"true", "True"},
      {"false", "False"},
      {"null", "None"},
      {"-3.5", "-3.5"},
      {"12345678901234567890", "12345678901234567890"},
      {"[\"it's\", \"a \\\"b\\\"\", \"\\u2603\", \"\\u001b\", \"\\ud83d\\ude00\", \"\\u200b\", \"True\", \"(x,)\"]",
       "[\"it's\", 'a \"b\"', '☃', '\\x1b', '😀', '\\u200b', 'True', '(x,)']"},
  };
  for (const auto& [text, python] : values) {
    const json meant = json::parse(text);
    EXPECT_EQ(RawValue(meant).structure(), meant);
    EXPECT_EQ(RawValue(text).structure(), meant);
    EXPECT_EQ(RawValue(python).structure(), meant) << python;
    EXPECT_EQ(RawValue(meant).is_null(), meant.is_null());
  }
}

TEST(RawValue, QuotesAreTakenOffOnce) {
  EXPECT_EQ(RawValue(R"("\"quoted\"")").text(), "\"quoted\"");
  EXPECT_EQ(RawValue(R"("256")").integer(), 256);  // as tuning jobs write it
  EXPECT_EQ(RawValue(R"("256")").text(), "256");
  const auto items = RawValue(R"(["\"quoted\"", "256", "1e-05"])").items();
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].text(), "\"quoted\"");
  EXPECT_EQ(items[1].integer(), 256);
  EXPECT_EQ(items[2].text(), "1e-05");
}

TEST(RawValue, NumbersThatNobodyCanHoldAreNoIntegers) {
  for (const char* text : {"99999999999999999999", "12345678901234567890", "NaN", "1_000", "1e99"}) {
    EXPECT_FALSE(RawValue(text).integer()) << text;
    EXPECT_EQ(RawValue(text).text(), text);
  }
}

// As SageMaker's toolkit hands it over.
TEST(RawValue, AnEmptyTextIsNone) {
  for (const char* text : {"", R"("")", "None", "null"}) EXPECT_TRUE(RawValue(text).is_null()) << text;
  for (const char* text : {"[]", "0", "False", " "}) EXPECT_FALSE(RawValue(text).is_null()) << text;
}

}  // namespace
}  // namespace lockstep
