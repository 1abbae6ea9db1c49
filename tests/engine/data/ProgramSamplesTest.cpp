#include "engine/data/ProgramSamples.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "common/Error.h"
#include "engine/data/ArrayDataset.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PeakMemory.h"

namespace lockstep {
namespace {

template <typename Number>
Array array(const char* name, ElementType type, const std::vector<std::int64_t>& sizes,
            const std::vector<Number>& numbers) {
  std::vector<std::uint8_t> bytes(numbers.size() * sizeof(Number));
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return make_array({.name = name, .type = type, .origin = std::string("at ") + name}, sizes, std::move(bytes));
}

std::shared_ptr<const Dataset> dataset(std::vector<Array> arrays) {
  return std::make_shared<ArrayDataset>("here", std::move(arrays));
}

Array labels(std::int64_t samples) {
  return array("y", ElementType::kInt64, {samples}, std::vector<std::int64_t>(static_cast<std::size_t>(samples), 0));
}

// Many samples of several fields, in an order of their own, larger than a block: each number is where it belongs.
TEST(ProgramSamples, ReadsAndConvertsEveryColumn) {
  constexpr std::int64_t kSamples = 300;
  constexpr std::int64_t kPixels = 4000;
  std::vector<std::uint8_t> pixels(kSamples * kPixels);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 2654435761U >> 9U);
  std::vector<std::int16_t> table(kSamples * 2);
  std::iota(table.begin(), table.end(), -100);
  std::vector<float> weights(kSamples);
  std::iota(weights.begin(), weights.end(), 0.0F);
  const ProgramSamples samples(dataset({array("image", ElementType::kUint8, {kSamples, 40, 100}, pixels),
                                        array("table", ElementType::kInt16, {kSamples, 2}, table),
                                        array("weight", ElementType::kFloat, {kSamples}, weights), labels(kSamples)}),
                               {{.name = "table", .type = ElementType::kInt64}, {.name = "image"}, {.name = "again"}},
                               {.names = {{"again", "image"}}, .normalization = {.mean = {0.25}, .std = {0.5}}});
  ASSERT_EQ(samples.columns().size(), 5);
  ASSERT_TRUE(samples.has_weights());
  std::vector<std::int64_t> order(kSamples);
  for (std::int64_t i = 0; i < kSamples; ++i) order[static_cast<std::size_t>(i)] = i * 77 % kSamples;
  std::vector<std::int64_t> tables(kSamples * 2);
  std::vector<float> images(kSamples * kPixels);
  std::vector<float> images_again(kSamples * kPixels);
  std::vector<float> weight(kSamples);
  samples.read(order, std::vector<std::byte*>{reinterpret_cast<std::byte*>(tables.data()),
                                              reinterpret_cast<std::byte*>(images.data()),
                                              reinterpret_cast<std::byte*>(images_again.data()), nullptr,
                                              reinterpret_cast<std::byte*>(weight.data())});
  EXPECT_EQ(images, images_again);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto sample = static_cast<std::size_t>(order[i]);
    ASSERT_EQ(tables[2 * i + 1], table[2 * sample + 1]);
    ASSERT_EQ(weight[i], weights[sample]);
    for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
      ASSERT_EQ(images[i * kPixels + pixel],
                static_cast<float>((pixels[sample * kPixels + pixel] / 255.0 - 0.25) / 0.5));
    }
  }
}

/// Notes how many fields each read asks for.
class Noted : public Dataset {
 public:
  explicit Noted(std::shared_ptr<const Dataset> dataset) : dataset_(std::move(dataset)) {}
  std::int64_t size() const override { return dataset_->size(); }
  const SampleSpec& spec() const override { return dataset_->spec(); }
  std::string digest() const override { return dataset_->digest(); }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    wanted.push_back(std::ranges::count_if(fields, [](const std::byte* field) { return field != nullptr; }));
    dataset_->read(samples, fields);
  }
  mutable std::vector<std::int64_t> wanted;

 private:
  std::shared_ptr<const Dataset> dataset_;
};

// A record that must be decoded is decoded once, whatever its columns become.
TEST(ProgramSamples, ReadsAllFieldsOfABlockAtOnce) {
  const auto noted = std::make_shared<Noted>(
      dataset({array("image", ElementType::kUint8, {2}, std::vector<std::uint8_t>{1, 2}),
               array("other", ElementType::kFloat, {2}, std::vector{1.0F, 2.0F}),
               array("unused", ElementType::kFloat, {2}, std::vector{1.0F, 2.0F}),
               array("table", ElementType::kInt16, {2}, std::vector<std::int16_t>{1, 2}), labels(2)}));
  const ProgramSamples samples(
      noted, {{.name = "table", .type = ElementType::kInt64}, {.name = "image"}, {.name = "again"}, {.name = "other"}},
      {.names = {{"again", "image"}}});
  noted->wanted.clear();
  std::vector<std::vector<double>> memory(5, std::vector<double>(2));
  std::vector<std::byte*> columns;
  for (std::vector<double>& column : memory) columns.push_back(reinterpret_cast<std::byte*>(column.data()));
  samples.read(std::vector<std::int64_t>{1, 0}, columns);
  EXPECT_EQ(noted->wanted, std::vector<std::int64_t>{4});
}

TEST(Transform, ConvertsEveryTypeByWayOfFloat64) {
  const auto to_double = [](ElementType from, auto number) {
    double result = 0;
    Transform(from, ElementType::kDouble, false)
        .run(reinterpret_cast<const std::byte*>(&number), 1, reinterpret_cast<std::byte*>(&result));
    return result;
  };
  EXPECT_EQ(to_double(ElementType::kInt8, std::int8_t{-7}), -7);
  EXPECT_EQ(to_double(ElementType::kInt64, std::int64_t{1} << 50), std::ldexp(1, 50));
  EXPECT_EQ(to_double(ElementType::kBool, true), 1);
  EXPECT_EQ(to_double(ElementType::kBFloat16, std::uint16_t{0xC020}), -2.5);
  EXPECT_EQ(to_double(ElementType::kUint16, std::uint16_t{65535}), 65535);
  EXPECT_EQ(to_double(ElementType::kUint32, std::uint32_t{4'000'000'000}), 4e9);
  EXPECT_EQ(to_double(ElementType::kUint64, ~std::uint64_t{0}), std::ldexp(1, 64));
  // float16: 1, the largest, the smallest, a subnormal of every bit, infinities and what is no number.
  EXPECT_EQ(to_double(ElementType::kHalf, std::uint16_t{0x3C00}), 1);
  EXPECT_EQ(to_double(ElementType::kHalf, std::uint16_t{0xFBFF}), -65504);
  EXPECT_EQ(to_double(ElementType::kHalf, std::uint16_t{0x0001}), std::ldexp(1, -24));
  EXPECT_EQ(to_double(ElementType::kHalf, std::uint16_t{0x03FF}), std::ldexp(1023, -24));
  EXPECT_EQ(to_double(ElementType::kHalf, std::uint16_t{0x0400}), std::ldexp(1, -14));
  EXPECT_EQ(to_double(ElementType::kHalf, std::uint16_t{0xFC00}), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(to_double(ElementType::kHalf, std::uint16_t{0x7C01})));
  EXPECT_FALSE(Transform::possible(ElementType::kFloat, ElementType::kInt64));
  EXPECT_THROW(Transform(ElementType::kFloat, ElementType::kBool, false), InternalError);
}

TEST(ProgramSamples, RefusesIntegersThatTheInputDoesNotHold) {
  const auto data =
      dataset({array("x", ElementType::kInt64, {3}, std::vector<std::int64_t>{1, 2, 1LL << 40}), labels(3)});
  EXPECT_NO_THROW(ProgramSamples(data, {{.name = "x", .type = ElementType::kInt64}}, {}));
  EXPECT_ERROR(ProgramSamples(data, {{.name = "x", .type = ElementType::kInt32}}, {}), InputError,
               "at x: the number of sample 2 is 1099511627776", "is int32");
}

// Token files are uint16, and NumPy counts in uint64: exact where the program's type holds them, and else refused.
TEST(ProgramSamples, TakesUnsignedIntegersThatFit) {
  const auto data = dataset({array("x", ElementType::kUint16, {2}, std::vector<std::uint16_t>{1, 65535}),
                             array("z", ElementType::kUint64, {2}, std::vector<std::uint64_t>{7, 1ULL << 63}),
                             array("y", ElementType::kUint32, {2}, std::vector<std::uint32_t>{0, 3})});
  const ProgramSamples samples(data, {{.name = "x", .type = ElementType::kInt32}}, {});
  EXPECT_EQ(samples.classes(), 4);
  std::vector<std::int32_t> x(2);
  std::vector<std::int64_t> y(2);
  samples.read(std::vector<std::int64_t>{1, 0},
               std::vector<std::byte*>{reinterpret_cast<std::byte*>(x.data()), reinterpret_cast<std::byte*>(y.data())});
  EXPECT_EQ(x, (std::vector<std::int32_t>{65535, 1}));
  EXPECT_EQ(y, (std::vector<std::int64_t>{3, 0}));
  EXPECT_ERROR(ProgramSamples(data, {{.name = "x", .type = ElementType::kInt16}}, {}), InputError,
               "at x: the number of sample 1 is 65535", "is int16, which ends at 32767");
  EXPECT_ERROR(ProgramSamples(data, {{.name = "z", .type = ElementType::kInt64}}, {}), InputError,
               "at z: the number of sample 1 is 9223372036854775808", "is int64");
  EXPECT_ERROR(ProgramSamples(data, {{.name = "x"}}, {.names = {{"target", "z"}}}), InputError,
               "at z: the number of sample 1 is 9223372036854775808", "class labels are int64");
  EXPECT_NO_THROW(ProgramSamples(data, {{.name = "z", .type = ElementType::kUint64}}, {}));
}

TEST(ProgramSamples, ChecksTokensAgainstTheirTable) {
  ProgramSamples samples(
      dataset({array("x", ElementType::kInt32, {2, 2}, std::vector<std::int32_t>{0, 1, 9, 2}), labels(2)}),
      {{.name = "x", .type = ElementType::kInt64}}, {});
  EXPECT_NO_THROW(samples.require_tokens(samples.input(0), 10, "ten rows"));
  EXPECT_ERROR(samples.require_tokens(samples.input(0), 9, "nine rows"), InputError,
               "at x: the token of sample 1 is 9; nine rows, so tokens must be 0 … 8");
}

TEST(ProgramSamples, RefusesWeightsThatAreNone) {
  const auto open = [](std::vector<float> weights) {
    ProgramSamples(dataset({array("x", ElementType::kFloat, {3}, std::vector<float>(3)), labels(3),
                            array("weight", ElementType::kFloat, {3, 1}, weights)}),
                   {{.name = "x"}}, {});
  };
  EXPECT_NO_THROW(open({0, 0, 0.5F}));
  EXPECT_ERROR(open({1, -1, 1}), InputError, "at weight: the weight of sample 1 is -1", "≥ 0");
  EXPECT_ERROR(open({1, 1, std::numeric_limits<float>::infinity()}), InputError, "the weight of sample 2 is inf");
  EXPECT_ERROR(open({0, 0, 0}), InputError, "all weights", "are 0");
}

TEST(ProgramSamples, TheIgnoredLabelIsNone) {
  const auto data = dataset({array("x", ElementType::kFloat, {3}, std::vector<float>(3)),
                             array("y", ElementType::kInt64, {3}, std::vector<std::int64_t>{4, -100, 255})});
  EXPECT_ERROR(ProgramSamples(data, {{.name = "x"}}, {}), InputError, "at y: the label of sample 1 is -100");
  EXPECT_EQ(ProgramSamples(data, {{.name = "x"}}, {.ignored_label = -100}).classes(), 256);
  const auto borders = dataset({array("x", ElementType::kFloat, {2}, std::vector<float>(2)),
                                array("y", ElementType::kUint8, {2}, std::vector<std::uint8_t>{4, 255})});
  ProgramSamples samples(borders, {{.name = "x"}}, {.ignored_label = 255});
  EXPECT_EQ(samples.classes(), 5);
  Array counted = array("y", ElementType::kUint8, {2}, std::vector<std::uint8_t>{4, 255});
  counted.field.bound = 256;  // as a table knows it of its columns
  const auto known = dataset({array("x", ElementType::kFloat, {2}, std::vector<float>(2)), counted});
  EXPECT_EQ(ProgramSamples(known, {{.name = "x"}}, {.ignored_label = 255}).classes(), 5);
  EXPECT_EQ(ProgramSamples(known, {{.name = "x"}}, {}).classes(), 256);
  EXPECT_NO_THROW(samples.require_classes(5, "five"));
  EXPECT_ERROR(samples.require_classes(4, "four"), InputError, "the label of sample 0 is 4");
}

TEST(ProgramSamples, WeightsMayBeOfPositions) {
  const auto data = dataset({array("x", ElementType::kFloat, {2}, std::vector<float>(2)),
                             array("y", ElementType::kInt64, {2, 3}, std::vector<std::int64_t>(6)),
                             array("weight", ElementType::kFloat, {2, 3}, std::vector<float>{1, 0, 2, 3, 4, 5})});
  const ProgramSamples samples(data, {{.name = "x"}}, {});
  ASSERT_TRUE(samples.has_weights());
  EXPECT_EQ(samples.columns().back().sizes, std::vector<std::int64_t>{3});
}

TEST(ArrayDataset, RefusesArraysThatDoNotGoTogether) {
  const auto x = [](const char* name, std::int64_t samples) {
    return array(name, ElementType::kFloat, {samples}, std::vector<float>(static_cast<std::size_t>(samples)));
  };
  EXPECT_ERROR(dataset({x("a", 3), x("b", 4)}), InputError, "here must hold as many samples in each array",
               "at a has 3 and at b 4");
  EXPECT_ERROR(dataset({x("a", 3), x("a", 3)}), InputError, "here holds two arrays of the name \"a\"");
  EXPECT_ERROR(dataset({x("a", 0)}), InputError, "here holds no data");
  EXPECT_ERROR(dataset({}), InputError, "here holds no array");
  EXPECT_ERROR(array("a", ElementType::kFloat, {}, std::vector<float>(1)), InputError, "at a holds a single number");
  EXPECT_NE(dataset({x("a", 3)})->digest(), dataset({x("b", 3)})->digest());
  EXPECT_NE(dataset({x("a", 3)})->digest(), dataset({x("a", 4)})->digest());
}

TEST(ArrayDataset, HoldsItsArraysOnce) {
  constexpr std::size_t kSize = 64 << 20;
  EXPECT_LT(peak_memory([] {
              std::vector<Array> arrays;
              arrays.push_back(make_array({.name = "x", .type = ElementType::kUint8}, {kSize / 4, 4},
                                          std::vector<std::uint8_t>(kSize, 1)));
              const ArrayDataset dataset("here", std::move(arrays));
            }),
            kSize * 5 / 4);
}

// What is no 0 and no 1 is no bool of C++.
TEST(ArrayDataset, BytesOfBoolAre0And1) {
  const auto data = dataset({array("m", ElementType::kBool, {4}, std::vector<std::uint8_t>{0, 1, 2, 255})});
  std::vector<std::uint8_t> bytes(4);
  data->read(std::vector<std::int64_t>{0, 1, 2, 3}, std::vector{reinterpret_cast<std::byte*>(bytes.data())});
  EXPECT_EQ(bytes, (std::vector<std::uint8_t>{0, 1, 1, 1}));
}

}  // namespace
}  // namespace lockstep
