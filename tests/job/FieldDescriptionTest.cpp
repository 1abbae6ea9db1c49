#include "job/FieldDescription.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "job/Hyperparameters.h"
#include "job/Json.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

FieldDescriptions read(const std::string& text) { return read_field_descriptions(parse_json(text, "test")); }

constexpr const char* kAll = R"({
  "x": [{"columns": ["age", "height"], "normalize": "standard", "fill": "mean"}, {"column": "city", "encode": "one_hot"},
        {"column": "zip", "hash": 100, "fill": "none"}],
  "image": {"normalize": {"mean": [0.4, 0.5, 0.6], "std": [1, 2, 3]}},
  "tokens": {"pad": {"length": 8, "value": 1, "cut": true, "mask": "mask"}},
  "n": {"type": "integer", "fill": 3}, "r": {"type": "real"}, "t": {"type": "text"},
  "target": {"column": "class", "labels": ["cat", "dog"]}, "grade": {"labels": [3, 1]}, "found": {"labels": "found"},
  "weight": "importance"})";

TEST(FieldDescription, SaysWhatBecomesOfColumns) {
  const FieldDescriptions fields = read(kAll);
  ASSERT_EQ(fields.at("x").size(), 3);
  EXPECT_EQ(fields.at("x")[0].columns, (std::vector<std::string>{"age", "height"}));
  EXPECT_EQ(fields.at("x")[0].normalize, FieldPart::Normalize::kStandard);
  EXPECT_TRUE(fields.at("x")[0].fill->mean());
  EXPECT_TRUE(fields.at("x")[1].one_hot);
  EXPECT_EQ(*fields.at("x")[2].fill->text(), "none");
  EXPECT_EQ(fields.at("image")[0].columns, std::vector<std::string>{"image"});
  EXPECT_EQ(fields.at("tokens")[0].pad, (Padding{.length = 8, .value = 1, .cut = true, .mask = "mask"}));
  EXPECT_EQ(fields.at("weight")[0].columns, std::vector<std::string>{"importance"});
  EXPECT_TRUE(fields.at("found")[0].labels->empty());
  EXPECT_EQ(read_field_descriptions(write_field_descriptions(fields)), fields);
}

TEST(FieldDescription, IsAHyperparameter) {
  const std::string text = R"({"x": {"columns": ["a"], "normalize": "min_max"}})";
  const Hyperparameters parsed = parse_hyperparameters({{"fields", text}});
  EXPECT_EQ(parsed.fields, read(text));
  EXPECT_EQ(parse_hyperparameters({{"fields", parse_json(text, "")}}).fields, parsed.fields);
  EXPECT_EQ(hyperparameters_from_json(to_json(parsed)).fields, parsed.fields);
  EXPECT_ERROR(parse_hyperparameters({{"fields", "a=b"}}), InputError, "hyperparameter fields", "an object",
               "; found \"a=b\"");
  try {
    parse_hyperparameters({{"fields", R"({"x": {"encode": "onehot"}})"}});
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(),
                 "hyperparameter fields: field \"x\": \"encode\": expected \"one_hot\"; found \"onehot\"");
  }
  EXPECT_ERROR(parse_hyperparameters({{"fields", text}, {"columns", "x=b"}}), InputError, "columns and fields", "x");
  EXPECT_ERROR(parse_hyperparameters({{"fields", text}, {"data", "synthetic"}}), InputError, "does nothing");
}

TEST(FieldDescription, ItsNeighboursAreHyperparameters) {
  EXPECT_EQ(parse_hyperparameters({{"validation_share", "0.1"}}).validation_share, 0.1);
  EXPECT_ERROR(parse_hyperparameters({{"validation_share", "1"}}), InputError, "validation_share", "< 1");
  EXPECT_EQ(parse_hyperparameters({{"image_jitter", "0.4,0.2,0"}}).image_jitter, (std::vector<double>{0.4, 0.2, 0}));
  EXPECT_TRUE(parse_hyperparameters({{"image_jitter", "[]"}}).image_jitter.empty());
  EXPECT_ERROR(parse_hyperparameters({{"image_jitter", "0.4,0.2"}}), InputError, "three numbers");
  EXPECT_ERROR(parse_hyperparameters({{"image_jitter", "0.4,0.2,1"}}), InputError, "< 1");
}

TEST(FieldDescription, WhatItCannotMeanIsRefused) {
  const std::vector<std::pair<const char*, const char*>> wrong = {
      {R"({"x": 3})", "expected a column's name, an object"},
      {R"({"x": []})", "at least one part"},
      {R"({"": "a"})", "no name"},
      {R"({"x": {"colunm": "a"}})", "did you mean column"},
      {R"({"x": {"column": "a", "columns": ["b"]}})", "both given"},
      {R"({"x": {"columns": []}})", "at least one name"},
      {R"({"x": {"columns": [1]}})", "columns"},
      {R"({"x": {"type": "int"}})", "text, integer or real"},
      {R"({"x": {"normalize": "standrad"}})", "\"standard\", \"min_max\""},
      {R"({"x": {"normalize": {"mean": 1}}})", "\"standard\""},
      {R"({"x": {"normalize": {"mean": 1, "std": 0}}})", "> 0"},
      {R"({"x": {"normalize": {"mean": [1, 2], "std": 1}}})", "as many means as deviations"},
      {R"({"x": {"normalize": {"mean": [], "std": []}}})", "at least one number"},
      {R"({"x": {"encode": "onehot"}})", "\"one_hot\""},
      {R"({"x": {"labels": ["a", "a"]}})", "different"},
      {R"({"x": {"labels": ["a", 1]}})", "different"},
      {R"({"x": {"labels": []}})", "different"},
      {R"({"x": {"hash": 0}})", "buckets"},
      {R"({"x": {"hash": 5, "labels": ["a"]}})", "two ways"},
      {R"({"x": {"hash": 5, "normalize": "standard"}})", "normalize is for numbers"},
      {R"({"x": {"fill": true}})", "\"mean\""},
      {R"({"x": {"fill": 1, "type": "text"}})", "filled by a text"},
      {R"({"x": {"fill": "mean", "type": "integer"}})", "no integer"},
      {R"({"x": {"pad": 0}})", "length"},
      {R"({"x": {"pad": {"length": 3, "values": 1}}})", "did you mean value"},
      {R"({"x": {"pad": 3, "normalize": "standard"}})", "pad stands alone"},
      {R"({"x": [{"pad": 3}, "y"]})", "one column"},
      {R"({"x": {"columns": ["a", "b"], "pad": 3}})", "one column"},
      {R"({"x": {"column": "a", "fill": 1}, "y": "a"})", "described twice"},
  };
  for (const auto& [text, part] : wrong) EXPECT_ERROR(read(text), InputError, part);
}

}  // namespace
}  // namespace lockstep
