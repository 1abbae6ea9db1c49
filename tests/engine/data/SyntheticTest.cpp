#include "engine/data/SyntheticDataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "common/Error.h"
#include "common/SplitMix.h"
#include "engine/data/Loader.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PlainSamples.h"

namespace lockstep {
namespace {

std::vector<std::int64_t> all(std::int64_t count) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(count));
  std::iota(samples.begin(), samples.end(), 0);
  return samples;
}

SampleSpec spec_of(Field input, Field target) {
  input.name = "x";
  target.name = "targets";
  return {{std::move(input), std::move(target)}};
}

SampleSpec tokens_and_labels() {
  return spec_of({.type = ElementType::kInt64, .sizes = {2, 3}, .bound = 50},
                 {.type = ElementType::kInt64, .sizes = {2}, .bound = 7});
}

template <typename... Numbers>
void read(const Dataset& dataset, const std::vector<std::int64_t>& samples, std::vector<Numbers>&... fields) {
  dataset.read(samples, std::vector<std::byte*>{reinterpret_cast<std::byte*>(fields.data())...});
}

TEST(SyntheticDataset, FollowsTheFormulaOfItsHeader) {
  const SyntheticDataset dataset(tokens_and_labels(), 10, 5);
  std::vector<std::int64_t> inputs(6);
  std::vector<std::int64_t> targets(2);
  read(dataset, {4}, inputs, targets);
  const std::uint64_t values = splitmix(5);
  const auto word = [&](std::uint64_t k) { return splitmix(values + k % (1 << 20)); };
  const std::uint64_t start = splitmix(splitmix(values) + 8);
  for (std::uint64_t j = 0; j < 6; ++j) EXPECT_EQ(inputs[j], word(start + j) % 50);
  for (std::uint64_t j = 0; j < 2; ++j) EXPECT_EQ(targets[j], word(splitmix(splitmix(values) + 9) + j) % 7);
}

TEST(SyntheticDataset, FollowsTheFormulaForFurtherInputs) {
  SampleSpec spec = tokens_and_labels();
  spec.fields.insert(spec.fields.begin() + 1, {.name = "mask", .type = ElementType::kBool, .sizes = {4}, .bound = 2});
  spec.fields.insert(spec.fields.begin() + 2, {.name = "table", .type = ElementType::kInt32, .sizes = {3}, .bound = 9});
  const SyntheticDataset dataset(spec, 10, 5);
  const SyntheticDataset plain(tokens_and_labels(), 10, 5);
  std::vector<std::int64_t> inputs(6), targets(2), plain_inputs(6), plain_targets(2);
  std::vector<std::uint8_t> mask(4);
  std::vector<std::int32_t> table(3);
  dataset.read(std::vector<std::int64_t>{4}, std::vector<std::byte*>{reinterpret_cast<std::byte*>(inputs.data()),
                                                                     reinterpret_cast<std::byte*>(mask.data()),
                                                                     reinterpret_cast<std::byte*>(table.data()),
                                                                     reinterpret_cast<std::byte*>(targets.data())});
  read(plain, {4}, plain_inputs, plain_targets);
  EXPECT_EQ(inputs, plain_inputs);
  EXPECT_EQ(targets, plain_targets);
  const std::uint64_t values = splitmix(5);
  const auto word = [&](std::uint64_t field, std::uint64_t k) {
    const std::uint64_t start = splitmix(splitmix(splitmix(values) + 8) + field);
    return splitmix(values + (start + k) % (1 << 20));
  };
  for (std::uint64_t j = 0; j < 4; ++j) EXPECT_EQ(mask[j], word(1, j) % 2);
  for (std::uint64_t j = 0; j < 3; ++j) EXPECT_EQ(table[j], word(2, j) % 9);
}

TEST(SyntheticDataset, ASampleIsTheSameInAnyCompany) {
  const SampleSpec spec = spec_of({.sizes = {5}}, {.sizes = {2}});
  const SyntheticDataset dataset(spec, 100, 3);
  std::vector<float> inputs(500);
  std::vector<float> targets(200);
  read(dataset, all(100), inputs, targets);
  const SampleSpec doubles =
      spec_of({.type = ElementType::kDouble, .sizes = {5}}, {.type = ElementType::kDouble, .sizes = {2}});
  const SyntheticDataset again(doubles, 100, 3);
  std::vector<double> one(5);
  std::vector<double> target(2);
  read(again, {42}, one, target);
  for (std::size_t j = 0; j < 5; ++j) EXPECT_EQ(inputs[210 + j], static_cast<float>(one[j]));
  for (std::size_t j = 0; j < 2; ++j) EXPECT_EQ(targets[84 + j], static_cast<float>(target[j]));
  const SyntheticDataset other(doubles, 100, 4);
  std::vector<double> different(5);
  read(other, {42}, different, target);
  EXPECT_NE(one, different);
  EXPECT_NE(again.digest(), other.digest());
}

// Checkpoints hold it.
TEST(SyntheticDataset, ItsDigestDoesNotChange) {
  EXPECT_EQ(SyntheticDataset(tokens_and_labels(), 10, 5).digest(), "synthetic 2×3 below 50 → 2 below 7, 10 of seed 5");
}

TEST(SyntheticDataset, NumbersAreStandardAndLabelsAreSpreadEvenly) {
  constexpr std::int64_t kSamples = 20000;
  const SyntheticDataset dataset(
      spec_of({.type = ElementType::kDouble, .sizes = {3}}, {.type = ElementType::kInt64, .bound = 4}), kSamples, 1);
  std::vector<double> inputs(3 * kSamples);
  std::vector<std::int64_t> labels(kSamples);
  read(dataset, all(kSamples), inputs, labels);
  const double count = 3 * kSamples;
  EXPECT_NEAR(std::accumulate(inputs.begin(), inputs.end(), 0.0) / count, 0, 0.02);
  EXPECT_NEAR(std::inner_product(inputs.begin(), inputs.end(), inputs.begin(), 0.0) / count, 1, 0.03);
  for (const std::int64_t label : {0, 1, 2, 3}) EXPECT_NEAR(std::ranges::count(labels, label), 5000, 300);
}

TEST(SyntheticDataset, WindowsGoOnWhereTheRowEnds) {
  constexpr std::size_t kRow = 1 << 20;
  const SyntheticDataset dataset(spec_of({.sizes = {2 * kRow + 3}}, {.type = ElementType::kInt64, .bound = 2}), 1, 1);
  std::vector<float> input(2 * kRow + 3);
  std::vector<std::int64_t> label(1);
  read(dataset, {0}, input, label);
  EXPECT_TRUE(std::equal(input.begin(), input.begin() + kRow + 3, input.begin() + kRow));
}

TEST(SyntheticDataset, TokensAndRowsOfLabelsGoThroughTheLoader) {
  const ProgramSamples samples = plain_samples(
      std::make_shared<SyntheticDataset>(spec_of({.type = ElementType::kInt64, .sizes = {400}, .bound = 1000},
                                                 {.type = ElementType::kInt64, .sizes = {300}, .bound = 9}),
                                         12, 1));
  Loader loader(samples, Order(0, 12, false), BatchPlan(12, 12, 5, 1), 0, 2);
  std::vector<std::int64_t> inputs(4800);
  std::vector<std::int64_t> labels(3600);
  read(*samples.dataset(), all(12), inputs, labels);
  std::vector<std::int64_t> loaded_inputs;
  std::vector<std::int64_t> loaded_labels;
  for (int i = 0; i < 3; ++i) {
    const MicroBatch batch = loader.next();
    const auto append = [&](std::vector<std::int64_t>& to, const std::shared_ptr<std::byte>& from, std::int64_t each) {
      const auto* first = reinterpret_cast<const std::int64_t*>(from.get());
      to.insert(to.end(), first, first + batch.size * each);
    };
    append(loaded_inputs, batch.columns[0], 400);
    append(loaded_labels, batch.columns[1], 300);
  }
  EXPECT_EQ(loaded_inputs, inputs);
  EXPECT_EQ(loaded_labels, labels);
}

TEST(SyntheticDataset, RefusesAProgramOfFewerClasses) {
  ProgramSamples samples = plain_samples(
      std::make_shared<SyntheticDataset>(spec_of({.sizes = {2}}, {.type = ElementType::kInt64, .bound = 10}), 100, 1));
  EXPECT_EQ(samples.classes(), 10);
  EXPECT_NO_THROW(samples.require_classes(10, "the program has 10 classes"));
  EXPECT_ERROR(samples.require_classes(9, "the program has 9 classes"), InputError, "targets: the label of sample",
               "has 9 classes");
}

}  // namespace
}  // namespace lockstep
