// What becomes of columns: numbers that are computed of them, and fields that are made of them.
#include "engine/data/fields/FieldsDataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <random>

#include "common/Error.h"
#include "engine/data/ArrayDataset.h"
#include "engine/data/Formats.h"
#include "engine/data/ProgramSamples.h"
#include "engine/data/fields/ExactMoments.h"
#include "job/Json.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestColumnar.h"
#include "tests/support/TestReads.h"
#include "tests/support/TestRecords.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

using Reals = std::vector<double>;
using Integers = std::vector<std::int64_t>;

ExactMoments moments_of(const std::vector<double>& values) {
  ExactMoments moments;
  for (const double value : values) moments.add(value);
  return moments;
}

TEST(ExactMoments, AreExactWhereFloatingPointIsNot) {
  EXPECT_EQ(moments_of({1e300, 1, -1e300}).mean(), 1.0 / 3);
  EXPECT_EQ(moments_of({1e16, 1, 1, -1e16}).mean(), 0.5);
  EXPECT_EQ(moments_of({5e-324, 5e-324}).mean(), 5e-324);
  EXPECT_EQ(moments_of({1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16}).deviation(), std::sqrt(22.5));
  EXPECT_EQ(moments_of({0.1, 0.1, 0.1}).deviation(), 0);
  EXPECT_EQ(moments_of({0.1, 0.1, 0.1}).mean(), 0.1);
  EXPECT_EQ(moments_of({-2, 2}).deviation(), 2);
  EXPECT_EQ(moments_of({-1e308, 1e308}).deviation(), 1e308);
  EXPECT_EQ(moments_of({}).mean(), 0);
  EXPECT_EQ(moments_of({}).deviation(), 0);
  EXPECT_EQ(moments_of({-7}).mean(), -7);
}

TEST(ExactMoments, AreTheSameInAnyOrderAndOfAnyParts) {
  std::mt19937_64 engine(1);
  std::vector<double> values;
  for (int i = 0; i < 4000; ++i) {
    values.push_back(
        std::ldexp(static_cast<double>(static_cast<std::int64_t>(engine())), static_cast<int>(engine() % 900) - 450));
  }
  const ExactMoments whole = moments_of(values);
  for (const std::size_t parts : {2U, 3U, 7U}) {
    std::ranges::shuffle(values, engine);
    ExactMoments merged;
    for (std::size_t part = 0; part < parts; ++part) {
      ExactMoments some;
      for (std::size_t i = part; i < values.size(); i += parts) some.add(values[i]);
      merged.merge(ExactMoments::from_bytes(some.bytes()));
    }
    EXPECT_EQ(merged.mean(), whole.mean());
    EXPECT_EQ(merged.deviation(), whole.deviation());
    EXPECT_EQ(merged.count(), 4000);
  }
  ExactMoments repeated;
  repeated.add(255, std::int64_t{1} << 40);
  repeated.add(0, std::int64_t{1} << 40);
  EXPECT_EQ(repeated.mean(), 127.5);
  EXPECT_EQ(repeated.deviation(), 127.5);
}

TEST(TextBucket, IsFnv1a) {
  // http://www.isthe.com/chongo/tech/comp/fnv: of "" and "foobar".
  constexpr std::int64_t kMany = std::int64_t{1} << 40;
  EXPECT_EQ(text_bucket("", kMany), static_cast<std::int64_t>(0xcbf29ce484222325 % kMany));
  EXPECT_EQ(text_bucket("foobar", kMany), static_cast<std::int64_t>(0x85944171f73967e8 % kMany));
}

class Fields : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((directory_.path() / name).parent_path());
    std::ofstream(directory_.path() / name, std::ios::binary) << text;
  }
  static FieldDescriptions described(const std::string& fields) {
    return read_field_descriptions(parse_json(fields, "test"));
  }
  std::shared_ptr<const Dataset> stored(const FieldDescriptions& fields, const std::string& channel = "",
                                        const SampleSpec* like = nullptr) {
    return Formats::builtin().open(directory_ / channel, {.fields = fields, .like = like}).dataset;
  }
  std::vector<FieldRecipe> recipes(const FieldDescriptions& fields, const Dataset& dataset, std::int64_t threads = 1) {
    const auto requests = statistics_requests(fields, dataset.spec());
    return make_recipes(fields, dataset.spec(), requests,
                        compute_statistics(dataset, requests, {0, dataset.size()}, threads));
  }
  std::shared_ptr<const Dataset> open(const std::string& text, std::int64_t threads = 1) {
    const FieldDescriptions fields = described(text);
    const auto dataset = stored(fields);
    return std::make_shared<FieldsDataset>(dataset, recipes(fields, *dataset, threads));
  }
  template <typename Number>
  static std::vector<Number> all(const Dataset& dataset, const std::string& field) {
    std::vector<std::int64_t> samples(static_cast<std::size_t>(dataset.size()));
    std::iota(samples.begin(), samples.end(), 0);
    return read_field<Number>(dataset, field, samples);
  }
  static const Field& field(const Dataset& dataset, const std::string& name) {
    return dataset.spec().fields[dataset.spec().find(name).value()];
  }
  // As a program takes them, in float64.
  static Reals taken(const std::shared_ptr<const Dataset>& dataset, const std::string& input) {
    const ProgramSamples samples(dataset, {{.name = input}}, {.names = {{input, input}}, .real = ElementType::kDouble});
    Reals numbers;
    for (std::int64_t i = 0; i < samples.size(); ++i) {
      for (const double number : samples.numbers(samples.input(0), i)) numbers.push_back(number);
    }
    return numbers;
  }

  TemporaryDirectory directory_;
};

TEST_F(Fields, StandardizesColumnsSideBySide) {
  write("a.csv", "age,city,height,y\n20,x,1.5,0\n30,y,1.5,1\n40,x,1.5,0\n");
  const auto dataset = open(R"({"x": {"columns": ["height", "age"], "normalize": "standard"}, "target": "y"})");
  const Field& x = field(*dataset, "x");
  EXPECT_EQ(x.sizes, Integers{2});
  EXPECT_EQ(x.normalization->mean, (Reals{1.5, 30}));
  EXPECT_EQ(x.normalization->std, (Reals{1, std::sqrt(200.0 / 3)}));  // what is always the same is divided by nothing
  const double one = 10 / std::sqrt(200.0 / 3);
  EXPECT_EQ(taken(dataset, "x"), (Reals{0, -one, 0, 0, 0, one}));
  EXPECT_EQ(all<std::int64_t>(*dataset, "target"), (Integers{0, 1, 0}));
}

TEST_F(Fields, ScalesToTheRange) {
  write("a.csv", "a,b,y\n-2,7,0\n6,7,1\n0,7,0\n");
  EXPECT_EQ(taken(open(R"({"x": {"columns": ["a", "b"], "normalize": "min_max"}})"), "x"),
            (Reals{0, 0, 1, 0, 0.25, 0}));
}

TEST_F(Fields, GivenNumbersAreForAllOrForEach) {
  write("a.csv", "a,b,y\n1,10,0\n3,20,1\n");
  EXPECT_EQ(taken(open(R"({"x": {"columns": ["a", "b"], "normalize": {"mean": 1, "std": 2}}})"), "x"),
            (Reals{0, 4.5, 1, 9.5}));
  EXPECT_EQ(taken(open(R"({"x": {"columns": ["a", "b"], "normalize": {"mean": [1, 10], "std": [2, 5]}}})"), "x"),
            (Reals{0, 0, 1, 2}));
  EXPECT_ERROR(open(R"({"x": {"columns": ["a", "b"], "normalize": {"mean": [1, 2, 3], "std": [2, 5, 1]}}})"),
               InputError, "field \"x\"", "gives 3 means, for 2 columns");
}

TEST_F(Fields, PartsOfAFieldAreTreatedEachInItsWay) {
  write("a.csv", "age,city,y\n10,rome,0\n30,bern,1\n");
  const auto dataset =
      open(R"({"x": [{"column": "age", "normalize": "min_max"}, {"column": "city", "encode": "one_hot"}, "y"]})");
  EXPECT_EQ(field(*dataset, "x").type, ElementType::kDouble);
  EXPECT_EQ(taken(dataset, "x"), (Reals{0, 0, 1, 0, 1, 1, 0, 1}));
}

TEST_F(Fields, OneHotOfTextsIntegersAndBuckets) {
  write("a.csv", "city,code,y\nrome,7,0\nbern,-3,1\nrome,7,0\n");
  const auto dataset =
      open(R"({"c": {"column": "city", "encode": "one_hot"}, "i": {"column": "code", "encode": "one_hot"},
                                "b": {"columns": ["city", "code"], "encode": "one_hot"}})");
  using Bytes = std::vector<std::uint8_t>;
  EXPECT_EQ(field(*dataset, "c").type, ElementType::kBool);
  EXPECT_EQ(field(*dataset, "c").sizes, Integers{2});
  EXPECT_EQ(all<std::uint8_t>(*dataset, "c"), (Bytes{0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(all<std::uint8_t>(*dataset, "i"), (Bytes{0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(all<std::uint8_t>(*dataset, "b"), (Bytes{0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1}));
  const auto hashed = open(R"({"h": {"column": "city", "hash": 5, "encode": "one_hot"}})");
  Bytes expected(15);
  expected[static_cast<std::size_t>(text_bucket("rome", 5))] = 1;
  expected[static_cast<std::size_t>(5 + text_bucket("bern", 5))] = 1;
  expected[static_cast<std::size_t>(10 + text_bucket("rome", 5))] = 1;
  EXPECT_EQ(all<std::uint8_t>(*hashed, "h"), expected);
}

TEST_F(Fields, LabelsAreGivenOrFound) {
  write("a.csv", "kind,grade,y\ndog,30,0.5\ncat,10,1\ndog,20,2\n");
  const auto dataset = open(R"({"target": {"column": "kind", "labels": ["dog", "bird", "cat"]},
                                "given": {"column": "grade", "labels": [30, 20, 10]},
                                "found": {"column": "grade", "labels": "found"}})");
  EXPECT_EQ(all<std::int64_t>(*dataset, "target"), (Integers{0, 2, 0}));
  EXPECT_EQ(field(*dataset, "target").bound, 3);
  EXPECT_EQ(field(*dataset, "target").categories, (std::vector<std::string>{"dog", "bird", "cat"}));
  EXPECT_EQ(all<std::int64_t>(*dataset, "given"), (Integers{0, 2, 1}));
  EXPECT_EQ(all<std::int64_t>(*dataset, "found"), (Integers{2, 0, 1}));
  EXPECT_EQ(field(*dataset, "found").categories, (std::vector<std::string>{"10", "20", "30"}));
  EXPECT_ERROR(open(R"({"target": {"column": "kind", "labels": ["cat", "cow"]}})"), InputError, "field \"target\"",
               "column kind holds \"dog\", which is none of its labels: cat, cow");
  EXPECT_ERROR(open(R"({"target": {"column": "kind", "labels": [1, 2]}})"), InputError, "its labels are integers");
  EXPECT_ERROR(open(R"({"target": {"column": "y", "labels": "found"}})"), InputError, "real numbers", "no labels");
  const auto few = open(R"({"target": {"column": "grade", "labels": [30, 10]}})");
  EXPECT_ERROR(all<std::int64_t>(*few, "target"), InputError, "a.csv", "column grade holds 20", "2 labels");
}

TEST_F(Fields, MissingValuesAreAnErrorUnlessTheyAreFilled) {
  write("a.csv", "a,b,city,y\n1,,rome,0\n,2.5,,1\n5,NA,bern,0\n");
  EXPECT_EQ(field(*open(R"({"target": "y"})"), "b").fault.value().why,
            (directory_ / "a.csv").string() +
                R"(, line 2: column b has no value (2 rows have none); fill it, as in fields: {"column": "b", "fill": )"
                R"("mean"}, or leave the rows out)");
  EXPECT_ERROR(open(R"({"x": "b"})"), InputError, "field \"x\"", "a.csv, line 2: column b has no value");
  const auto dataset = open(R"({"a": {"column": "a", "fill": "mean"}, "b": {"column": "b", "fill": -1},
                                "n": {"column": "a", "fill": "mean", "normalize": "standard"},
                                "city": {"column": "city", "fill": "nowhere"}})");
  EXPECT_EQ(taken(dataset, "a"), (Reals{1, 3, 5}));
  EXPECT_EQ(taken(dataset, "b"), (Reals{-1, 2.5, -1}));
  EXPECT_EQ(taken(dataset, "n"), (Reals{-1, 0, 1}));  // of the two that are there, as scikit-learn has it
  EXPECT_EQ(field(*dataset, "city").categories, (std::vector<std::string>{"bern", "nowhere", "rome"}));
  EXPECT_EQ(all<std::int64_t>(*dataset, "city"), (Integers{2, 1, 0}));
  EXPECT_ERROR(open(R"({"a": {"column": "a", "fill": "none"}, "b": {"column": "b", "fill": 0},
                        "city": {"column": "city", "fill": "x"}})"),
               InputError, "column a holds numbers: expected \"fill\" to be a number or \"mean\"; found \"none\"");
  EXPECT_ERROR(open(R"({"a": {"column": "a", "fill": 0}, "b": {"column": "b", "fill": 0},
                        "city": {"column": "city", "fill": 0}})"),
               InputError, "column city holds texts: expected a text to fill it", "found 0");
}

TEST_F(Fields, AColumnWithoutAnyValueHasNoMean) {
  write("a.csv", "a,y\n,0\nNaN,1\n");
  EXPECT_ERROR(open(R"({"a": {"column": "a", "fill": "mean"}})"), InputError, "column a has no value");
  EXPECT_EQ(taken(open(R"({"a": {"column": "a", "fill": 4}})"), "a"), (Reals{4, 4}));
}

TEST_F(Fields, ATypeSaysWhatAColumnIs) {
  write("a.csv", "zip,class,n,y\n0815,1.0,1,0\n4711,0.0,,1\n");
  const auto dataset =
      open(R"({"zip": {"column": "zip", "type": "text"}, "target": {"column": "class", "type": "integer"},
                                "n": {"column": "n", "type": "integer", "fill": 9}, "r": {"column": "y", "type": "real"}})");
  EXPECT_EQ(field(*dataset, "zip").categories, (std::vector<std::string>{"0815", "4711"}));
  EXPECT_EQ(all<std::int64_t>(*dataset, "target"), (Integers{1, 0}));
  EXPECT_EQ(all<std::int64_t>(*dataset, "n"), (Integers{1, 9}));
  EXPECT_EQ(all<double>(*dataset, "r"), (Reals{0, 1}));
  write("a.csv", "class,y\n1.5,0\n");
  EXPECT_ERROR(all<std::int64_t>(*open(R"({"target": {"column": "class", "type": "integer"}})"), "target"), InputError,
               "a.csv", "column class holds 1.5, which is no integer");
}

TEST_F(Fields, HashedTextsNeedNotBeKnown) {
  std::string text = "name,y\n";
  for (int i = 0; i < 70'000; ++i) text += "n" + std::to_string(i) + ",0\n";  // more than categories may be
  write("train/a.csv", text);
  write("validation/a.csv", "name,y\nnever seen,1\n");
  const FieldDescriptions fields = described(R"({"name": {"column": "name", "hash": 1000}})");
  const auto train = stored(fields, "train");
  const auto made = recipes(fields, *train);
  const FieldsDataset validation(stored(fields, "validation", &train->spec()), made);
  EXPECT_EQ(all<std::int64_t>(validation, "name"), Integers{text_bucket("never seen", 1000)});
  EXPECT_EQ(field(validation, "name").bound, 1000);
}

TEST_F(Fields, OtherChannelsHaveTheTrainingChannelsNumbers) {
  write("train/a.csv", "a,city,y\n0,rome,0\n10,bern,1\n,rome,0\n");
  write("validation/a.csv", "a,city,y\n5,bern,1\n,bern,1\n");
  const FieldDescriptions fields = described(
      R"({"x": [{"column": "a", "fill": "mean", "normalize": "min_max"}, {"column": "city", "encode": "one_hot"}]})");
  const auto train = stored(fields, "train");
  const auto validation =
      std::make_shared<FieldsDataset>(stored(fields, "validation", &train->spec()), recipes(fields, *train));
  EXPECT_EQ(taken(validation, "x"), (Reals{0.5, 1, 0, 0.5, 1, 0}));
  EXPECT_EQ(validation->digest(), stored(fields, "validation", &train->spec())->digest());
}

TEST_F(Fields, AnotherChannelMayHaveALargerLabel) {
  write("train/a.csv", "a,class\n1,0\n2,4\n");
  write("validation/a.csv", "a,class\n1,7\n");
  const FieldDescriptions fields = described(R"({"target": "class", "x": {"columns": ["a"]}})");
  const auto train = stored(fields, "train");
  const auto made = recipes(fields, *train);
  const auto validation = std::make_shared<FieldsDataset>(stored(fields, "validation", &train->spec()), made);
  const ColumnOptions options = {.names = {{"target", "target"}, {"x", "x"}}};
  EXPECT_EQ(ProgramSamples(std::make_shared<FieldsDataset>(train, made), {{.name = "x"}}, options).classes(), 5);
  ProgramSamples samples(validation, {{.name = "x"}}, options);
  EXPECT_EQ(samples.classes(), 8);
  EXPECT_ERROR(samples.require_classes(5, "the program has 5"), InputError, "7", "the program has 5");
}

TEST_F(Fields, AnOptionalColumnThatNoRowHasIsNotThere) {
  write("train/a.jsonl", "{\"t\": [1], \"y\": 0}\n{\"t\": [], \"y\": 1, \"n\": null}\n");
  for (const char* column : {R"("pad": 3)", R"("fill": 1)"}) {
    const FieldDescriptions fields =
        described(R"({"t": {"pad": 2}, "n": {"fill": 4}, "x": {"column": "mispelt", )" + std::string(column) + "}}");
    EXPECT_ERROR(recipes(fields, *stored(fields, "train")), InputError, "no column \"mispelt\"", "there is t");
  }
  const FieldDescriptions fields =
      described(R"({"t": {"pad": 2}, "n": {"fill": 4}, "target": {"column": "y", "fill": 0}})");
  const auto train = stored(fields, "train");
  EXPECT_EQ(all<double>(FieldsDataset(train, recipes(fields, *train)), "n"), (Reals{4, 4}));
  // A channel like this one but for its targets, which are then no column of it.
  write("news/a.jsonl", "{\"t\": [1]}\n");
  SampleSpec like = train->spec();
  std::erase_if(like.fields, [](const Field& field) { return field.name == "y"; });
  EXPECT_FALSE(stored(fields, "news")->spec().find("y"));
  EXPECT_FALSE(stored(fields, "news", &like)->spec().find("y"));
  EXPECT_TRUE(stored(fields, "news", &train->spec())->spec().find("y"));
  // Other hosts' rows may have it.
  const auto shard = Formats::builtin().open(directory_ / "news", {.fields = fields, .shard = true}).dataset;
  EXPECT_TRUE(shard->spec().find("y"));
}

TEST_F(Fields, ARowThatIsLeftOutLeavesNothingBehind) {
  const auto open_without = [&](const std::string& name, const std::string& text) {
    fs::remove_all(directory_ / "channel");
    write("channel/" + name, text);
    const auto dataset = Formats::builtin().open(directory_ / "channel", {.most_bad = 2}).dataset;
    EXPECT_EQ(dataset->bad_records()->size(), 2);
    return dataset;
  };
  for (const auto& dataset : {open_without("a.csv", "kind,n,m\ncat,1,0\nbird,oops,1\ndog,5,2\nfish,1.5,oops\n"),
                              open_without("a.jsonl", R"({"kind": "cat", "n": 1, "m": 0})"
                                                      "\n"
                                                      R"({"kind": "bird", "n": 1.5, "m": "oops"})"
                                                      "\n"
                                                      R"({"kind": "dog", "n": 5, "m": 2})"
                                                      "\n"
                                                      R"({"kind": "fish", "n": 9, "m": [1, 2]})"
                                                      "\n")}) {
    EXPECT_EQ(field(*dataset, "kind").categories, (std::vector<std::string>{"cat", "dog"}));
    EXPECT_EQ(field(*dataset, "n").type, ElementType::kInt64);
    EXPECT_EQ(field(*dataset, "n").bound, 6);
    EXPECT_EQ(field(*dataset, "m").bound, 3);
  }
}

TEST_F(Fields, AChannelThatIsNotLikeTheTrainingChannelIsRefused) {
  const auto dataset = [](ElementType type, std::size_t bytes) {
    Array y{.field = {.name = "y", .type = ElementType::kInt64}, .samples = 2, .bytes = std::vector<std::uint8_t>(16)};
    Array x{.field = {.name = "a", .type = type}, .samples = 2, .bytes = std::vector<std::uint8_t>(bytes)};
    return std::make_shared<ArrayDataset>("here", std::vector<Array>{x, y});
  };
  const FieldDescriptions fields = described(R"({"x": "a"})");
  const auto made = recipes(fields, *dataset(ElementType::kFloat, 8));
  EXPECT_ERROR(FieldsDataset(dataset(ElementType::kDouble, 16), made), InputError, "column a is not like", "float64");
}

TEST_F(Fields, StatisticsAreTheSameForAnyNumberOfThreads) {
  std::string text = "a,b,y\n";
  for (int i = 0; i < 1000; ++i)
    text += std::to_string(std::exp(i % 37) * (i % 2 ? 1 : -0.3)) + "," + std::to_string(0.1 * i) + ",0\n";
  write("a.csv", text);
  const std::string fields = R"({"x": {"columns": ["a", "b"], "normalize": "standard"}})";
  const Normalization expected = *field(*open(fields), "x").normalization;
  for (const std::int64_t threads : {2, 3, 7, 5000})
    EXPECT_EQ(*field(*open(fields, threads), "x").normalization, expected);
}

TEST_F(Fields, ANumberWithoutAMeanIsNamed) {
  write("a.jsonl", "{\"a\": [1, 2], \"y\": 0}\n{\"a\": [3, 4], \"y\": 1}\n");
  EXPECT_EQ(taken(open(R"({"x": {"column": "a", "normalize": "standard"}})"), "x"), (Reals{-1, -1, 1, 1}));
  Array x{.field = {.name = "a", .type = ElementType::kDouble, .origin = "x.npy"},
          .samples = 2,
          .bytes = std::vector<std::uint8_t>(16)};
  reinterpret_cast<double*>(x.bytes.data())[1] = std::nan("");
  const ArrayDataset dataset("here", {x});
  EXPECT_ERROR(recipes(described(R"({"x": {"column": "a", "normalize": "standard"}})"), dataset), InputError, "x.npy",
               "column a holds nan", "fill");
  const auto made = recipes(described(R"({"x": {"column": "a", "normalize": "standard", "fill": 3}})"), dataset);
  EXPECT_EQ(made[0].field.normalization->mean, Reals{0});
  reinterpret_cast<double*>(x.bytes.data())[1] = std::numeric_limits<double>::infinity();
  try {
    recipes(described(R"({"x": {"column": "a", "normalize": "min_max"}})"), ArrayDataset("here", {x}));
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("column a holds inf"), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find("fill"), std::string::npos) << error.what();  // which would not help
  }
  const StatisticsRequest request = {.moments = true, .may_lack = true, .may_be_infinite = true};
  const auto counted = compute_statistics(ArrayDataset("here", {x}), {request}, {0, 2}, 2);
  EXPECT_EQ(counted[0].parts()[0].infinite, 1);
  ColumnStatistics sent(x.field, request);
  sent.merge_bytes(counted[0].bytes());
  EXPECT_EQ(sent.parts()[0].infinite, 1);
  EXPECT_EQ(sent.moments(0).count(), 1);
}

TEST_F(Fields, ARangeIsOfAnyNumberOfParts) {
  Array x{.field = {.name = "a", .type = ElementType::kUint8, .sizes = {2000}}, .samples = 2};
  for (int i = 0; i < 4000; ++i) x.bytes.push_back(static_cast<std::uint8_t>(i % 7 + (i < 2000 ? 0 : 100)));
  const ArrayDataset dataset("here", {x});
  EXPECT_ERROR(recipes(described(R"({"x": {"column": "a", "normalize": "standard"}})"), dataset), InputError,
               "2000 numbers, each with a mean of its own");
  const auto made = recipes(described(R"({"x": {"column": "a", "normalize": "min_max"}})"), dataset);
  EXPECT_EQ(made[0].field.normalization->mean.size(), 2000);
  EXPECT_EQ(made[0].field.normalization->mean[2], 2.0 / 255);
}

TEST_F(Fields, BytesStayBytesAndHaveAMeanForEachChannel) {
  Array image{.field = {.name = "image", .type = ElementType::kUint8, .sizes = {3, 1, 2}}, .samples = 2};
  image.bytes = {0, 255, 51, 51, 0, 0, 0, 255, 51, 153, 0, 255};
  Array y{.field = {.name = "y", .type = ElementType::kInt64}, .samples = 2, .bytes = std::vector<std::uint8_t>(16)};
  const auto own = std::make_shared<ArrayDataset>("here", std::vector<Array>{image, y});
  const auto made = recipes(described(R"({"x": {"column": "image", "normalize": "standard"}})"), *own);
  const auto dataset = std::make_shared<FieldsDataset>(own, made);
  const Normalization& found = *field(*dataset, "x").normalization;
  EXPECT_EQ(field(*dataset, "x").type, ElementType::kUint8);
  EXPECT_EQ(found.part, 2);
  EXPECT_EQ(found.mean, (Reals{127.5 / 255, 76.5 / 255, 63.75 / 255}));
  EXPECT_EQ(found.std[0], 127.5 / 255);
  const Reals numbers = taken(dataset, "x");
  EXPECT_EQ(numbers[0], -1);
  EXPECT_EQ(numbers[1], 1);
  EXPECT_EQ(numbers[4], (0 - found.mean[2]) / found.std[2]);
  // To a GPU they travel as bytes.
  const ProgramSamples samples(dataset, {{.name = "x"}}, {});
  const ProgramSamples bytes = samples.with_pixels_as_stored();
  EXPECT_EQ(bytes.input(0).pixels->mean, found.mean);
  EXPECT_TRUE(bytes.input(0).transform.copies());
}

TEST_F(Fields, ListsOfAnyLengthArePadded) {
  const std::string fields =
      R"({"t": {"column": "tokens", "pad": {"length": 3, "value": 9, "mask": "m"}}, "target": "y"})";
  const auto expect = [&](const Dataset& dataset) {
    EXPECT_EQ(all<std::int64_t>(dataset, "t"), (Integers{1, 2, 3, 4, 9, 9, 9, 9, 9}));
    EXPECT_EQ(field(dataset, "t").sizes, Integers{3});
    EXPECT_EQ(all<std::uint8_t>(dataset, "m"), (std::vector<std::uint8_t>{1, 1, 1, 1, 0, 0, 0, 0, 0}));
    EXPECT_EQ(field(dataset, "m").type, ElementType::kBool);
  };
  write("a.jsonl", R"({"tokens": [1, 2, 3], "y": 0})"
                   "\n"
                   R"({"tokens": [4], "y": 1})"
                   "\n"
                   R"({"y": 1})"
                   "\n");
  expect(*open(fields));
  EXPECT_EQ(field(*open(fields), "t").bound, 10);
  fs::remove(directory_ / "a.jsonl");
  arrow::ListBuilder builder(arrow::default_memory_pool(), std::make_shared<arrow::Int64Builder>());
  auto& values = static_cast<arrow::Int64Builder&>(*builder.value_builder());
  must(builder.Append());
  must(values.AppendValues(Integers{1, 2, 3}));
  must(builder.Append());
  must(values.Append(4));
  must(builder.AppendNull());
  write("a.parquet", parquet_file(*arrow_table({{"tokens", must(builder.Finish())},
                                                {"y", arrow_values<arrow::Int64Builder>(Integers{0, 1, 1})}}),
                                  2));
  expect(*open(fields));
  fs::remove(directory_ / "a.parquet");
  write("a.tfrecord", tf_record(example(feature("tokens", Integers{1, 2, 3}) + feature("y", Integers{0}))) +
                          tf_record(example(feature("tokens", Integers{4}) + feature("y", Integers{1}))) +
                          tf_record(example(feature("y", Integers{1}))));
  expect(*open(fields));
}

TEST_F(Fields, ListsThatAreTooLongAreCutWhenThatIsSaid) {
  write("a.jsonl", "{\"t\": [1, 2, 3, 4], \"y\": 0}\n");
  EXPECT_ERROR(open(R"({"t": {"pad": 3}})"), InputError, "a.jsonl, line 1", "column t holds a list of 4", "cut");
  EXPECT_EQ(all<std::int64_t>(*open(R"({"t": {"pad": {"length": 3, "cut": true}}})"), "t"), (Integers{1, 2, 3}));
  EXPECT_ERROR(open(R"({"t": {"pad": {"length": 4, "value": 0.5}}})"), InputError, "int64", "not padded with 0.5");
  EXPECT_ERROR(open(R"({"t": {"pad": {"length": 6, "mask": "y"}}})"), InputError, "the mask of column t", "\"y\"");
  write("a.jsonl", "{\"t\": 5, \"y\": 0}\n");
  EXPECT_ERROR(open(R"({"t": {"pad": 3}})"), InputError, "no list");
}

TEST_F(Fields, ColumnsOfParquetMayLackValues) {
  arrow::DoubleBuilder numbers;
  must(numbers.Append(1));
  must(numbers.AppendNull());
  must(numbers.Append(3));
  arrow::StringBuilder texts;
  must(texts.AppendNull());
  must(texts.Append("b"));
  must(texts.Append("a"));
  arrow::Int32Builder integers;
  must(integers.Append(4));
  must(integers.Append(6));
  must(integers.AppendNull());
  write("a.parquet", parquet_file(*arrow_table({{"n", must(numbers.Finish())},
                                                {"t", must(texts.Finish())},
                                                {"i", must(integers.Finish())},
                                                {"y", arrow_values<arrow::Int64Builder>(Integers{0, 1, 1})}}),
                                  2));
  EXPECT_ERROR(open(R"({"x": "t"})"), InputError, "a.parquet, row 1, in row group 1: column t has no value; fill it",
               R"({"column": "t", "fill": "unknown"}, or leave the row out)");
  const auto dataset = open(R"({"n": {"fill": "mean"}, "t": {"fill": "?"}, "i": {"fill": 0},
                                "code": {"column": "y", "type": "text"}})");
  EXPECT_EQ(taken(dataset, "n"), (Reals{1, 2, 3}));
  EXPECT_EQ(taken(dataset, "i"), (Reals{4, 6, 0}));
  EXPECT_EQ(field(*dataset, "t").categories, (std::vector<std::string>{"?", "a", "b"}));
  EXPECT_EQ(all<std::int64_t>(*dataset, "t"), (Integers{0, 2, 1}));
  EXPECT_EQ(field(*dataset, "code").categories, (std::vector<std::string>{"0", "1"}));
}

TEST_F(Fields, ArraysAreNotReadAnew) {
  Array x{.field = {.name = "a", .type = ElementType::kInt64, .sizes = {2}},
          .samples = 1,
          .bytes = std::vector<std::uint8_t>(16)};
  const ArrayDataset dataset("here", {x});
  const auto refuse = [&](const char* how, const char* why) {
    EXPECT_ERROR(recipes(described("{\"x\": {\"column\": \"a\", " + std::string(how) + "}}"), dataset), InputError,
                 "column a", why);
  };
  refuse(R"("hash": 5)", "what is hashed are texts");
  refuse(R"("type": "text")", "not as texts");
  refuse(R"("pad": 5)", "cannot be padded");
  refuse(R"("fill": 5)", "none is missing");
  refuse(R"("fill": "x")", "expected \"fill\" to be a number or \"mean\"; found \"x\"");
}

TEST_F(Fields, DescribedColumnsAreNotAmongTheFeatures) {
  write("a.csv", "a,b,class\n1,2,0\n3,4,1\n");
  const auto dataset = open(R"({"target": "class"})");
  EXPECT_EQ(field(*dataset, kFeaturesField).sizes, Integers{2});
  EXPECT_EQ(all<std::int64_t>(*dataset, kFeaturesField), (Integers{1, 2, 3, 4}));
}

TEST_F(Fields, WhatCannotBeIsNamed) {
  write("a.csv", "a,city,y\n1,rome,0\n2,bern,1\n");
  EXPECT_ERROR(open(R"({"x": {"column": "b"}})"), InputError, "field \"x\"", "no column \"b\"", "there is a (int64)");
  EXPECT_ERROR(open(R"({"x": {"column": "city", "normalize": "standard"}})"), InputError, "column city holds texts");
  EXPECT_ERROR(open(R"({"x": {"column": "city", "type": "integer"}})"), InputError, "column city holds texts");
  const auto labels = open(R"({"target": {"column": "y", "normalize": "standard"}})");
  EXPECT_NO_THROW(ProgramSamples(labels, {}, {.names = {{"target", "target"}}, .real_targets = true}));
  const auto integers = open(R"({"x": {"column": "a", "normalize": "standard"}})");
  EXPECT_ERROR(ProgramSamples(integers, {{.name = "x", .type = ElementType::kInt64}}, {}), InputError, "normalized",
               "int64");
}

TEST_F(Fields, WritesWhatAServerNeeds) {
  write("a.csv", "a,city,code,y\n1,rome,x,0\n3,bern,y,1\n");
  const FieldDescriptions fields = described(
      R"({"x": [{"columns": ["a"], "normalize": "standard"}, {"column": "city", "encode": "one_hot"}],
          "code": {"hash": 7}, "target": {"column": "y", "labels": [1, 0]}})");
  const auto json = parse_json(write_recipes(recipes(fields, *stored(fields))), "it");
  EXPECT_EQ(json.at("format"), "lockstep fields");
  EXPECT_EQ(json.at("fields").at("x").at("columns")[0],
            parse_json(R"({"column": "a", "type": "integer", "mean": 2.0, "std": 1.0})", ""));
  EXPECT_EQ(json.at("fields").at("x").at("columns")[1],
            parse_json(R"({"column": "city", "type": "text", "labels": ["bern", "rome"], "one_hot": 2})", ""));
  EXPECT_EQ(json.at("fields").at("code").at("columns")[0],
            parse_json(R"({"column": "code", "type": "text", "hash": 7})", ""));
  EXPECT_EQ(json.at("fields").at("target").at("columns")[0].at("labels"), parse_json(R"(["1", "0"])", ""));
  EXPECT_EQ(json.at("fields").at("target").at("columns")[0].at("type"), "integer");
  write("a.csv", "zip,class,y\n0815,1.0,2.5\n");
  const FieldDescriptions typed = described(R"({"zip": {"type": "text"}, "class": {"type": "integer"}, "y": "y"})");
  const auto types = parse_json(write_recipes(recipes(typed, *stored(typed))), "it").at("fields");
  EXPECT_EQ(types.at("zip").at("columns")[0].at("type"), "text");
  EXPECT_EQ(types.at("class").at("columns")[0].at("type"), "integer");
  EXPECT_EQ(types.at("y").at("columns")[0].at("type"), "real");
  fs::remove(directory_ / "a.csv");
  write("a.jsonl", "{\"t\": [1, 2]}\n");
  const FieldDescriptions lists = described(R"({"t": {"pad": {"length": 1, "value": 3, "cut": true, "mask": "m"}}})");
  const auto padded = parse_json(write_recipes(recipes(lists, *stored(lists))), "it").at("fields").at("t");
  EXPECT_EQ(padded.at("columns")[0].at("pad"),
            parse_json(R"({"length": 1, "value": 3.0, "cut": true, "mask": "m"})", ""));
}

}  // namespace
}  // namespace lockstep
