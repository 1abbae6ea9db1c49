#include "engine/data/SyntheticDataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "common/Error.h"
#include "common/SplitMix.h"
#include "engine/data/Loader.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

std::vector<std::int64_t> all(std::int64_t count) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(count));
  std::iota(samples.begin(), samples.end(), 0);
  return samples;
}

TEST(SyntheticDataset, FollowsTheFormulaOfItsHeader) {
  const SyntheticDataset dataset({.input = {2, 3}, .vocabulary = 50, .target = {2}, .classes = 7}, 10, 5);
  std::vector<std::int64_t> inputs(6);
  std::vector<std::int64_t> targets(2);
  dataset.read(std::vector<std::int64_t>{4}, Precision::kFp32, inputs.data(), targets.data());
  const std::uint64_t values = splitmix(5);
  const auto word = [&](std::uint64_t k) { return splitmix(values + k % (1 << 20)); };
  const std::uint64_t start = splitmix(splitmix(values) + 8);
  for (std::uint64_t j = 0; j < 6; ++j) EXPECT_EQ(inputs[j], word(start + j) % 50);
  for (std::uint64_t j = 0; j < 2; ++j) EXPECT_EQ(targets[j], word(splitmix(splitmix(values) + 9) + j) % 7);
}

TEST(SyntheticDataset, ASampleIsTheSameInAnyCompany) {
  const SyntheticDataset dataset({.input = {5}, .class_labels = false, .target = {2}}, 100, 3);
  std::vector<float> inputs(500);
  std::vector<float> targets(200);
  dataset.read(all(100), Precision::kFp32, inputs.data(), targets.data());
  const SyntheticDataset again({.input = {5}, .class_labels = false, .target = {2}}, 100, 3);
  std::vector<double> one(5);
  std::vector<double> target(2);
  again.read(std::vector<std::int64_t>{42}, Precision::kFp64, one.data(), target.data());
  for (std::size_t j = 0; j < 5; ++j) EXPECT_EQ(inputs[210 + j], static_cast<float>(one[j]));
  for (std::size_t j = 0; j < 2; ++j) EXPECT_EQ(targets[84 + j], static_cast<float>(target[j]));
  const SyntheticDataset other({.input = {5}, .class_labels = false, .target = {2}}, 100, 4);
  std::vector<double> different(5);
  other.read(std::vector<std::int64_t>{42}, Precision::kFp64, different.data(), target.data());
  EXPECT_NE(one, different);
  EXPECT_NE(again.digest(), other.digest());
}

TEST(SyntheticDataset, NumbersAreStandardAndLabelsAreSpreadEvenly) {
  constexpr std::int64_t kSamples = 20000;
  const SyntheticDataset dataset({.input = {3}, .classes = 4}, kSamples, 1);
  std::vector<double> inputs(3 * kSamples);
  std::vector<std::int64_t> labels(kSamples);
  dataset.read(all(kSamples), Precision::kFp64, inputs.data(), labels.data());
  const double count = 3 * kSamples;
  EXPECT_NEAR(std::accumulate(inputs.begin(), inputs.end(), 0.0) / count, 0, 0.02);
  EXPECT_NEAR(std::inner_product(inputs.begin(), inputs.end(), inputs.begin(), 0.0) / count, 1, 0.03);
  for (const std::int64_t label : {0, 1, 2, 3}) EXPECT_NEAR(std::ranges::count(labels, label), 5000, 300);
}

TEST(SyntheticDataset, WindowsGoOnWhereTheRowEnds) {
  constexpr std::size_t kRow = 1 << 20;
  const SyntheticDataset dataset({.input = {2 * kRow + 3}, .classes = 2}, 1, 1);
  std::vector<float> input(2 * kRow + 3);
  std::int64_t label = -1;
  dataset.read(std::vector<std::int64_t>{0}, Precision::kFp32, input.data(), &label);
  EXPECT_TRUE(std::equal(input.begin(), input.begin() + kRow + 3, input.begin() + kRow));
}

TEST(SyntheticDataset, TokensAndRowsOfLabelsGoThroughTheLoader) {
  const SyntheticDataset dataset({.input = {400}, .vocabulary = 1000, .target = {300}, .classes = 9}, 12, 1);
  Loader loader(dataset, Order(0, 12, false), BatchPlan(12, 12, 5, 1), 0, Precision::kFp32, 2);
  std::vector<std::int64_t> inputs(4800);
  std::vector<std::int64_t> labels(3600);
  dataset.read(all(12), Precision::kFp32, inputs.data(), labels.data());
  std::vector<std::int64_t> loaded_inputs;
  std::vector<std::int64_t> loaded_labels;
  for (int i = 0; i < 3; ++i) {
    const MicroBatch batch = loader.next();
    const auto append = [&](std::vector<std::int64_t>& to, const std::shared_ptr<std::byte>& from, std::int64_t each) {
      const auto* first = reinterpret_cast<const std::int64_t*>(from.get());
      to.insert(to.end(), first, first + batch.size * each);
    };
    append(loaded_inputs, batch.inputs, 400);
    append(loaded_labels, batch.targets, 300);
  }
  EXPECT_EQ(loaded_inputs, inputs);
  EXPECT_EQ(loaded_labels, labels);
}

TEST(SyntheticDataset, RefusesAProgramOfFewerClasses) {
  const SyntheticDataset dataset({.input = {2}, .classes = 10}, 1, 1);
  EXPECT_NO_THROW(dataset.require_classes(10, "the program has 10 classes"));
  EXPECT_ERROR(dataset.require_classes(9, "the program has 9 classes"), InputError, "are of 10 classes",
               "has 9 classes");
}

}  // namespace
}  // namespace lockstep
