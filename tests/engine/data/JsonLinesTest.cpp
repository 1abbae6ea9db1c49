// Tables as JSON lines: what columns hold, and what a broken file is told.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "engine/data/table/TableColumns.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

using Strings = std::vector<std::string>;
using Reals = std::vector<double>;

class JsonLines : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  std::shared_ptr<const Dataset> open(const ChannelOptions& options = {}) {
    return Formats::builtin().open(directory_.path(), options).dataset;
  }
  /// Of all samples, the last one first.
  static Reals reals(const Dataset& dataset, const std::string& field) {
    const std::size_t index = dataset.spec().find(field).value();
    const Field& stored = dataset.spec().fields[index];
    std::vector<std::int64_t> samples;
    for (std::int64_t i = dataset.size(); i-- > 0;) samples.push_back(i);
    Reals values(samples.size() * static_cast<std::size_t>(stored.numbers()));
    std::vector<std::byte*> places(dataset.spec().fields.size());
    places[index] = reinterpret_cast<std::byte*>(values.data());
    dataset.read(samples, places);
    for (double& value : values) {
      std::int64_t integer = 0;
      std::memcpy(&integer, &value, sizeof integer);
      if (!is_real(stored.type)) value = static_cast<double>(integer);
    }
    return values;
  }
  void expect_refused(const std::string& text, const std::string& line, const std::string& why) {
    write("data.jsonl", text);
    EXPECT_ERROR(take_all(*open()), InputError, "data.jsonl, line " + line, why);
  }

  TemporaryDirectory directory_;
};

TEST_F(JsonLines, KeysAreColumns) {
  write("data.jsonl",
        "\xef\xbb\xbf{\"höhe\": 1.5, \"kind\": \"b\", \"label\": 2, \"new\": true}\r\n\r\n"
        "{\"label\": 0, \"new\": false, \"kind\": \"\\u00e4\", \"h\\u00f6he\": -3}\n\n\n"
        "{\"höhe\": 1e2, \"kind\": \"b\", \"label\": 1, \"new\": true}");
  const auto data = open();
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(reals(*data, "höhe"), (Reals{100, -3, 1.5}));
  EXPECT_EQ(reals(*data, "label"), (Reals{1, 0, 2}));
  EXPECT_EQ(reals(*data, "new"), (Reals{1, 0, 1}));
  EXPECT_EQ(reals(*data, "kind"), (Reals{0, 1, 0}));
  EXPECT_EQ(data->spec().fields[1].categories, (Strings{"b", "ä"}));
  EXPECT_EQ(data->spec().fields[2].bound, 3);
  EXPECT_EQ(reals(*data, "features"), (Reals{100, 1, -3, 0, 1.5, 1}));
  EXPECT_EQ(data->note(), "not among the features: kind (categories), label");
}

TEST_F(JsonLines, ArraysHaveSizes) {
  write("data.ndjson",
        "{\"features\": [[1, 2, 3], [4, 5, 6]], \"y\": 0, \"z\": 7}\n"
        "{\"features\": [[0.5, 2, 3], [4, 5, 18446744073709551615]], \"y\": 1, \"z\": 8}\n");
  const auto data = open();
  EXPECT_EQ(data->spec().fields.size(), 3);  // what is called so is the features
  EXPECT_EQ(data->spec().fields[0].sizes, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(reals(*data, "features"), (Reals{0.5, 2, 3, 4, 5, 18446744073709551615.0, 1, 2, 3, 4, 5, 6}));
  const auto validation = open({.like = &data->spec()});
  EXPECT_EQ(reals(*validation, "y"), (Reals{1, 0}));
}

TEST_F(JsonLines, AreKnownByTheirContentType) {
  write("data", "{\"x\": 1, \"y\": 2}\n");
  for (const char* type : {"application/jsonlines", "application/x-ndjson; charset=utf-8"}) {
    EXPECT_EQ(reals(*open({.content_type = type}), "y"), (Reals{2})) << type;
  }
  EXPECT_ERROR(take_all(*open()), InputError, "holds no data", "JSON lines");
  std::filesystem::rename(directory_ / "data", directory_ / "part-0000.json");  // as Spark names it
  write("train.manifest", "{\"x\": 3, \"y\": 4}\n");
  EXPECT_EQ(reals(*open({.content_type = "application/jsonlines"}), "y"), (Reals{2}));
}

TEST_F(JsonLines, ValidationDataFollowsTheTrainingData) {
  write("data.jsonl", "{\"x\": 0.5, \"kind\": \"b\", \"v\": [1, 2]}\n{\"x\": 2, \"kind\": \"c\", \"v\": [1, 2]}\n");
  const auto train = open();
  write("data.jsonl", "{\"v\": [3, 4], \"kind\": \"c\", \"x\": 1}\n");
  const auto validation = open({.like = &train->spec()});
  EXPECT_EQ(reals(*validation, "kind"), (Reals{1}));
  EXPECT_EQ(reals(*validation, "x"), (Reals{1}));
  EXPECT_EQ(validation->spec().fields[0].type, ElementType::kDouble);
  const auto refuse = [&](const std::string& text, const std::string& why) {
    write("data.jsonl", text);
    EXPECT_ERROR(take_all(*open({.like = &train->spec()})), InputError, why);
  };
  refuse("{\"v\": [3, 4], \"kind\": \"a\", \"x\": 1}\n", "column kind holds \"a\", which is none of its 2 categories");
  refuse("{\"v\": [3, 4], \"kind\": 1, \"x\": 1}\n",
         "column kind holds \"1\", a number, and texts in the training channel");
  refuse("{\"v\": [0.5, 4], \"kind\": \"c\", \"x\": 1}\n", "column v holds \"0.5\", which is no integer");
  refuse("{\"v\": [3], \"kind\": \"c\", \"x\": 1}\n", "an array of [1], and an array of [2] in the training channel");
  refuse("{\"v\": [3, 4], \"kind\": \"c\"}\n", "it has no \"x\", which the training channel has");
  write("data.jsonl", "{\"new\": 7, \"v\": [3, 4], \"kind\": \"c\", \"x\": 1}\n");
  EXPECT_EQ(open({.like = &train->spec()})->spec().fields.size(), train->spec().fields.size());
}

TEST_F(JsonLines, AnyRowMayBringAColumn) {
  const std::string rows =
      "{\"x\": 1, \"late\": 2}\n{\"x\": 2}\n{\"later\": \"b\", \"x\": 3}\n{\"later\": \"a\", \"x\": 4}\n";
  write("data.jsonl", rows);
  const auto unfilled = open();
  EXPECT_EQ(reals(*unfilled, "x"), (Reals{4, 3, 2, 1}));
  const Field& late = unfilled->spec().fields[unfilled->spec().find("late").value()];
  ASSERT_TRUE(late.fault);
  EXPECT_NE(late.fault->why.find("data.jsonl, line 2: it has no \"late\""), std::string::npos) << late.fault->why;
  EXPECT_EQ(late.fault->what, "no value in 3 rows");
  EXPECT_TRUE(unfilled->spec().fields[unfilled->spec().find("later").value()].fault);

  const TemporaryDirectory index;
  const ChannelOptions keeping{.index_dir = index.path()};
  for (int time = 0; time < 2; ++time) {  // the second one finds what the first kept
    EXPECT_EQ(open(keeping)->spec().fields.size(), unfilled->spec().fields.size());
  }
  write("data.jsonl", "{\"x\": 2}\n" + rows);
  EXPECT_EQ(open()->spec().fields[unfilled->spec().find("late").value()].fault->what, "no value in 4 rows");

  std::string many = "{\"x\": 1}\n";
  for (std::size_t i = 0; i <= TableColumns::kMostOthers; ++i)
    many += "{\"x\": 1, \"k" + std::to_string(i) + "\": 1}\n";
  write("data.jsonl", many);
  EXPECT_ERROR(open(), InputError, "line 4098: it has the column \"k4096\", one more than the 4096");
}

TEST_F(JsonLines, WhereRowsMayBeBadAFurtherKeyIsOnesFault) {
  write("data.jsonl",
        "{\"x\": 1, \"y\": 0}\n{\"xx\": 2, \"y\": 0}\n{\"x\": 3, \"y\": 1, \"more\": 1}\n{\"x\": 4, \"y\": 1}\n");
  const auto data = open({.most_bad = 2});
  EXPECT_EQ(data->spec().fields.size(), 3);  // x, y and features
  ASSERT_TRUE(data->bad_records());
  ASSERT_EQ(data->bad_records()->size(), 2);
  EXPECT_EQ((*data->bad_records())[0].sample, 1);
  EXPECT_EQ((*data->bad_records())[1].sample, 2);
  EXPECT_ERROR(open({.most_bad = 1}), InputError, "line 3: it has the column \"more\", which few rows have");
}

TEST_F(JsonLines, TheFirstRowMayBeBad) {
  write("data.jsonl", "{\"x\": \n{\"x\": 1}\n[]\n{\"x\": 2}\n");
  EXPECT_ERROR(open(), InputError, "data.jsonl, line 1: it is no JSON");
  EXPECT_ERROR(open({.most_bad = 1}), InputError, "data.jsonl, line 3: expected an object");
  const auto data = open({.most_bad = 2});
  EXPECT_EQ(data->size(), 4);
  EXPECT_EQ(data->spec().fields[0].name, "x");
  write("data.jsonl", "{\"x\": 1, \"x\": 2}\n{\"x\": 1}\n");
  EXPECT_EQ(open({.most_bad = 1})->size(), 2);
}

TEST_F(JsonLines, SaysWhereAFileIsBroken) {
  expect_refused("{\"x\": 1}\n\n{\"x\": 2\n", "3", "it is no JSON");
  expect_refused("{\"x\": 1}\n{\"x\": 2} {\"x\": 2}\n", "2", "it is no JSON");
  expect_refused("{\"x\": 1}\n{\"x\": NaN}\n", "2", "it is no JSON");
  expect_refused("{\"x\": \"\xff\"}\n", "1", "it is no JSON");
  expect_refused("[1, 2]\n", "1", "expected an object in each line");
  expect_refused("{}\n", "1", "has no columns");
  expect_refused("{\"x\": 1, \"y\": 2}\n{\"x\": 1}\n", "2", "it has no \"y\"");
  expect_refused("{\"x\": 1}\n{\"x\": 1, \"y\": 2}\n", "1", "it has no \"y\", which other rows have");
  expect_refused("{\"x\": 1, \"y\": 2}\n{\"x\": 1, \"x\": 2}\n", "2", "it has the key \"x\" twice");
  expect_refused("{\"x\": 1}\n{\"x\": null}\n", "2", "column x has no value");
  expect_refused("{\"x\": 1}\n{\"x\": \"1\"}\n", "2", "column x holds \"1\", which is no number, and numbers before");
  expect_refused("{\"x\": \"a\"}\n{\"x\": 1.5}\n", "2", "column x holds \"1.5\", a number, and texts before");
  expect_refused("{\"x\": {\"y\": 1}}\n", "1", "column x holds an object");
  expect_refused("{\"x\": [\"a\"]}\n", "1", "column x holds an array of texts");
  expect_refused("{\"x\": []}\n", "1", "column x holds an array of nothing");
  expect_refused("{\"x\": [1, [2]]}\n", "1", "column x holds arrays and numbers side by side");
  expect_refused("{\"x\": [[1, 2], [3]]}\n", "1", "column x holds arrays that are not equally long");
  expect_refused("{\"x\": [[[[[[[[[1]]]]]]]]]}\n", "1", "too many dimensions");
  expect_refused("{\"x\": [1, 2]}\n{\"x\": [1, 2, 3]}\n", "2", "an array of [3], and an array of [2] before");
  expect_refused("{\"x\": [1, 2]}\n{\"x\": 1}\n", "2", "a single value, and an array of [2] before");
  expect_refused("{\"source-ref\": \"s3://b/k\", \"label\": 1}\n", "1", "augmented manifest");
  write("data.jsonl", "\n\r\n");
  EXPECT_ERROR(take_all(*open()), InputError, "holds no record");
}

TEST_F(JsonLines, AFileThatChangesWhileItIsReadIsNamed) {
  write("data.jsonl", "{\"x\": 1, \"y\": 2}\n{\"x\": 3, \"y\": 4}\n");
  const auto data = open();
  write("data.jsonl", "{\"x\": 1, \"y\": 2}\n{\"x\": 3, \"z\": 4}\n");
  EXPECT_ERROR(reals(*data, "x"), InputError, "data.jsonl, record 2, at byte 17", "it has no \"y\"");
}

}  // namespace
}  // namespace lockstep
