#include "engine/data/Order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <numeric>
#include <vector>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

std::vector<std::int64_t> epoch_of(const Order& order, std::int64_t epoch, std::int64_t size) {
  std::vector<std::int64_t> samples;
  for (std::int64_t i = 0; i < size; ++i) samples.push_back(order(epoch, i));
  return samples;
}

TEST(Order, IsAPermutationForEverySize) {
  std::vector<std::int64_t> sizes(300);
  std::iota(sizes.begin(), sizes.end(), 0);
  for (const std::int64_t size : {1009, 4095, 4096, 4097, 60000}) sizes.push_back(size);
  for (const std::int64_t size : sizes) {
    std::vector<std::int64_t> all(static_cast<std::size_t>(size));
    std::iota(all.begin(), all.end(), 0);
    for (const std::int64_t epoch : {0, 1, 100}) {
      std::vector<std::int64_t> samples = epoch_of(Order(7, size, true), epoch, size);
      std::ranges::sort(samples);
      EXPECT_EQ(samples, all) << size;
    }
  }
}

TEST(Order, IsTheSameForSeveralAtATime) {
  for (const std::int64_t size : {1, 2, 7, 8, 9, 64, 65, 1000, 4097}) {
    for (const bool shuffle : {true, false}) {
      const Order order(7, size, shuffle);
      const std::vector<std::int64_t> one_by_one = epoch_of(order, 3, size);
      for (const Slice slice : {Slice{0, size}, Slice{size / 3, size}, Slice{size / 2, size / 2}, Slice{0, size / 2}}) {
        const std::vector<std::int64_t> expected(one_by_one.begin() + slice.begin, one_by_one.begin() + slice.end);
        EXPECT_EQ(order.samples(3, slice), expected) << size;
      }
    }
  }
}

TEST(Order, BoundsItsSize) {
  const std::int64_t most = std::int64_t{1} << 40;
  const std::int64_t sample = Order(1, most, true)(0, most - 1);
  EXPECT_TRUE(sample >= 0 && sample < most);
  EXPECT_ERROR(Order(1, most + 1, true), InternalError, "2^40");
  EXPECT_ERROR(Order(1, -1, true), InternalError, "0 to 2^40");
}

TEST(Order, DiffersByEpochAndSeedAndRepeats) {
  const auto first = epoch_of(Order(1, 1000, true), 0, 1000);
  EXPECT_EQ(first, epoch_of(Order(1, 1000, true), 0, 1000));
  EXPECT_NE(first, epoch_of(Order(1, 1000, true), 1, 1000));
  EXPECT_NE(first, epoch_of(Order(2, 1000, true), 0, 1000));
}

TEST(Order, WithoutShuffleIsTheDataSetsOwn) {
  EXPECT_EQ(epoch_of(Order(1, 3, false), 5, 3), (std::vector<std::int64_t>{0, 1, 2}));
}

// Six permutations of three samples, equally often: χ² with 5 degrees of freedom is below 20.5 in 99.9 % of
// cases.
TEST(Order, SmallSizesHaveAllPermutations) {
  std::map<std::vector<std::int64_t>, int> counts;
  constexpr int kEpochs = 6000;
  for (int epoch = 0; epoch < kEpochs; ++epoch) ++counts[epoch_of(Order(11, 3, true), epoch, 3)];
  EXPECT_EQ(counts.size(), 6);
  double chi_squared = 0;
  for (const auto& [samples, count] : counts) chi_squared += (count - 1000.0) * (count - 1000.0) / 1000;
  EXPECT_LT(chi_squared, 20.5);
}

// Neighbours in the epoch are as far apart in the data set as those of a random order: size / 3 on average.
TEST(Order, TearsNeighboursApart) {
  constexpr std::int64_t kSize = 10000;
  const auto samples = epoch_of(Order(1, kSize, true), 0, kSize);
  double distance = 0;
  for (std::size_t i = 1; i < samples.size(); ++i)
    distance += static_cast<double>(std::abs(samples[i] - samples[i - 1]));
  EXPECT_NEAR(distance / (kSize - 1) / kSize, 1.0 / 3, 0.01);
}

// Resuming relies on it: a change here must not go unnoticed.
TEST(Order, IsPinned) {
  EXPECT_EQ(epoch_of(Order(1, 10, true), 0, 10), (std::vector<std::int64_t>{5, 2, 1, 0, 7, 8, 3, 6, 4, 9}));
  const Order large(42, 60000, true);
  EXPECT_EQ((std::vector{large(0, 0), large(0, 59999), large(7, 12345)}),
            (std::vector<std::int64_t>{32591, 23428, 55231}));
}

// Over many epochs each sample comes to each place equally often: χ² with 99 degrees of freedom is below 149
// in 99.9 % of cases, and the test's outcome is fixed.
TEST(Order, HasNoFavouritePlaces) {
  constexpr int kSamples = 100;
  constexpr int kEpochs = 2000;
  for (const std::int64_t sample : {0, 1, 50, 99}) {
    std::vector<int> counts(kSamples, 0);
    for (int epoch = 0; epoch < kEpochs; ++epoch) {
      const auto samples = epoch_of(Order(3, kSamples, true), epoch, kSamples);
      ++counts[static_cast<std::size_t>(std::ranges::find(samples, sample) - samples.begin())];
    }
    double chi_squared = 0;
    constexpr double kExpected = double{kEpochs} / kSamples;
    for (const int count : counts) chi_squared += (count - kExpected) * (count - kExpected) / kExpected;
    EXPECT_LT(chi_squared, 149) << sample;
  }
}

}  // namespace
}  // namespace lockstep
