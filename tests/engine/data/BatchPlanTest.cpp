#include "engine/data/BatchPlan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

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

TEST(BatchPlan, CutsASliceIntoMicroBatches) {
  const BatchPlan plan(67, 32, 5, 3);
  std::vector<std::int64_t> sizes;
  for (const Slice& part : plan.micro_batches(0, 1)) sizes.push_back(part.size());
  EXPECT_EQ(sizes, (std::vector<std::int64_t>{5, 5, 1}));
  EXPECT_EQ(BatchPlan(67, 32, 0, 3).micro_batches(0, 1).size(), 1);
  EXPECT_EQ(plan.steps(), 3);
  EXPECT_EQ(plan.batch(2).size(), 3);
}

TEST(BatchPlan, SmallBatchesLeaveRanksEmpty) {
  const BatchPlan plan(5, 4, 0, 3);
  EXPECT_EQ(plan.slice(1, 0).size(), 0);
  EXPECT_TRUE(plan.micro_batches(1, 0).empty());
  EXPECT_EQ(BatchPlan(0, 4, 0, 3).steps(), 0);
}

TEST(BatchPlan, ABatchMayBeOfAnySize) {
  const BatchPlan plan(5, std::int64_t{1} << 62, 0, 1);
  EXPECT_EQ(plan.steps(), 1);
  EXPECT_EQ(plan.batch(0).size(), 5);
}

TEST(BatchPlan, RefusesSizesThatMakeNoPlan) {
  EXPECT_ERROR(BatchPlan(-1, 1, 0, 1), InternalError, "samples ≥ 0", "-1, 1, 0 and 1");
  EXPECT_ERROR(BatchPlan(1, 0, 0, 1), InternalError, "batch_size ≥ 1");
  EXPECT_ERROR(BatchPlan(1, 1, -1, 1), InternalError, "micro_batch_size ≥ 0");
  EXPECT_ERROR(BatchPlan(1, 1, 0, 0), InternalError, "ranks ≥ 1");
}

TEST(BatchPlan, SmallestShareIsTheLeastOfAllMicroBatches) {
  for (const std::int64_t samples : {1, 2, 9, 64, 67}) {
    for (const std::int64_t batch : {1, 4, 32, 200}) {
      for (const int ranks : {1, 2, 3, 5}) {
        for (const std::int64_t micro : {0, 1, 3}) {
          const BatchPlan plan(samples, batch, micro, ranks);
          for (const std::int64_t steps : {std::int64_t{1}, plan.steps(), plan.steps() + 5}) {
            std::int64_t least = samples + 1;
            for (std::int64_t step = 0; step < std::min(steps, plan.steps()); ++step) {
              for (int rank = 0; rank < ranks; ++rank) {
                for (const Slice& part : plan.micro_batches(step, rank)) least = std::min(least, part.size());
              }
            }
            const Share share = plan.smallest_share(steps);
            EXPECT_EQ(share.samples, least);
            const auto parts = plan.micro_batches(share.step, share.rank);
            EXPECT_TRUE(std::ranges::any_of(parts, [&](const Slice& part) { return part.size() == least; }));
          }
        }
      }
    }
  }
  EXPECT_EQ(BatchPlan(9, 4, 0, 1).smallest_share(3).step, 2);
  EXPECT_EQ(BatchPlan(9, 4, 0, 1).smallest_share(2).samples, 4);
  EXPECT_EQ(BatchPlan(2, 2, 0, 2).smallest_share(1).samples, 1);
}

TEST(BatchPlan, KnowsWhatRanksHaveTogether) {
  for (const int ranks : {1, 2, 3, 5}) {
    for (const std::int64_t samples : {1, 7, 12, 33}) {
      for (const std::int64_t micro : {0, 1, 2, 5}) {
        const BatchPlan plan(samples, 8, micro, ranks);
        std::int64_t least = samples + 1;
        for (std::int64_t step = 0; step < plan.steps(); ++step) {
          std::vector<std::int64_t> together;
          for (int rank = 0; rank < ranks; ++rank) {
            const auto own = plan.micro_batches(step, rank);
            together.resize(std::max(together.size(), own.size()));
            for (std::size_t i = 0; i < own.size(); ++i) together[i] += own[i].size();
          }
          EXPECT_EQ(plan.most_micro_batches(step), static_cast<std::int64_t>(together.size()));
          least = std::min(least, *std::ranges::min_element(together));
        }
        EXPECT_EQ(plan.smallest_together(plan.steps()).samples, least) << ranks << " " << samples << " " << micro;
      }
    }
  }
  EXPECT_EQ(BatchPlan(9, 8, 0, 2).smallest_together(2).step, 1);
}

}  // namespace
}  // namespace lockstep
