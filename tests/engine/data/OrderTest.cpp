#include "engine/data/Order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/data/BatchPlan.h"

namespace lockstep {
namespace {

std::vector<std::int64_t> epoch_of(const Order& order, std::int64_t epoch, std::int64_t size) {
  std::vector<std::int64_t> samples;
  for (std::int64_t i = 0; i < size; ++i) samples.push_back(order(epoch, i));
  return samples;
}

TEST(Order, IsAPermutationForEverySize) {
  for (const std::int64_t size : {1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 1009, 4096, 60000}) {
    for (const std::int64_t epoch : {0, 1, 100}) {
      std::vector<std::int64_t> samples = epoch_of(Order(7, size, true), epoch, size);
      std::ranges::sort(samples);
      std::vector<std::int64_t> all(static_cast<std::size_t>(size));
      std::iota(all.begin(), all.end(), 0);
      EXPECT_EQ(samples, all) << size;
    }
  }
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

// Resuming relies on it: a change here must not go unnoticed.
TEST(Order, IsPinned) {
  EXPECT_EQ(epoch_of(Order(1, 10, true), 0, 10), (std::vector<std::int64_t>{5, 2, 1, 0, 7, 8, 3, 6, 4, 9}));
}

// Over many epochs each sample comes to each tenth of the epoch equally often: χ² with 99 degrees of freedom is below 149 in
// 99.9 % of cases, and the test's outcome is fixed.
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

TEST(BatchPlan, TheRanksSlicesAreTheEpochExactlyOnce) {
  for (const std::int64_t samples : {1, 2, 7, 64, 67, 100, 101}) {
    for (const std::int64_t batch : {1, 3, 32, 200}) {
      for (const int ranks : {1, 2, 3, 4, 5}) {
        for (const std::int64_t micro : {0, 1, 5}) {
          const BatchPlan plan(samples, batch, micro, ranks);
          std::int64_t next = 0;
          for (std::int64_t step = 0; step < plan.steps(); ++step) {
            std::int64_t least = samples;
            std::int64_t most = 0;
            for (int rank = 0; rank < ranks; ++rank) {
              const Slice slice = plan.slice(step, rank);
              least = std::min(least, slice.size());
              most = std::max(most, slice.size());
              for (const Slice& part : plan.micro_batches(step, rank)) {
                EXPECT_EQ(part.begin, next);
                EXPECT_GT(part.size(), 0);
                EXPECT_TRUE(micro == 0 || part.size() <= micro);
                next = part.end;
              }
            }
            EXPECT_EQ(next, plan.batch(step).end);
            EXPECT_LE(most - least, 1);
          }
          EXPECT_EQ(next, samples);
        }
      }
    }
  }
}

TEST(BatchPlan, GlobalBatchesDoNotDependOnTheRanks) {
  for (std::int64_t step = 0; step < BatchPlan(67, 32, 0, 1).steps(); ++step) {
    for (const int ranks : {2, 3, 4}) {
      EXPECT_EQ(BatchPlan(67, 32, 0, 1).batch(step).begin, BatchPlan(67, 32, 5, ranks).batch(step).begin);
      EXPECT_EQ(BatchPlan(67, 32, 0, 1).batch(step).end, BatchPlan(67, 32, 5, ranks).batch(step).end);
    }
  }
}

}  // namespace
}  // namespace lockstep
