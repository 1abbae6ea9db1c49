#include "engine/data/Shards.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <vector>

#include "common/Error.h"
#include "engine/data/BatchPlan.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

using Holdings = std::vector<Shards::Holding>;

/// Hosts with so many samples and so many ranks.
struct Host {
  std::int64_t samples = 0;
  int ranks = 1;
};

Holdings holdings(const std::vector<Host>& hosts) {
  Holdings all;
  for (const Host& host : hosts) {
    const int number = static_cast<int>(all.size());
    all.insert(all.end(), static_cast<std::size_t>(host.ranks), {.host = number, .samples = host.samples});
  }
  return all;
}

const std::vector<std::vector<Host>> kHosts = {
    {{.samples = 7}},
    {{.samples = 7}, {.samples = 0}},
    {{.samples = 0, .ranks = 2}, {.samples = 7}},
    {{.samples = 5}, {.samples = 3}},
    {{.samples = 100, .ranks = 3}, {.samples = 1, .ranks = 2}, {.samples = 33}},
    {{.samples = 1}, {.samples = 1}, {.samples = 1}, {.samples = 1}, {.samples = 1}},
    {{.samples = 64, .ranks = 4}, {.samples = 64, .ranks = 4}, {.samples = 64, .ranks = 4}},
    {{.samples = 997}, {.samples = 2}, {.samples = 0}, {.samples = 31, .ranks = 2}, {.samples = 500}, {.samples = 1}},
    {{.samples = 0}, {.samples = 0}, {.samples = 3}, {.samples = 0}},
    {{.samples = 1}, {.samples = 2}, {.samples = 4}, {.samples = 8}, {.samples = 16}, {.samples = 32}, {.samples = 64}},
};

TEST(Shards, AnEpochIsEachShardsSamplesOnce) {
  for (const std::vector<Host>& hosts : kHosts) {
    const Shards shards(holdings(hosts));
    ASSERT_EQ(shards.count(), hosts.size());
    for (const std::int64_t batch : {1, 3, 16, 64, 5000}) {
      for (const std::int64_t micro : {0, 1, 5}) {
        const BatchPlan plan(shards, batch, micro);
        EXPECT_EQ(plan.steps(), (shards.samples() + batch - 1) / batch);
        std::vector<std::int64_t> next(hosts.size());
        for (std::int64_t step = 0; step < plan.steps(); ++step) {
          std::int64_t samples = 0;
          for (int rank = 0; rank < shards.ranks(); ++rank) {
            for (const Slice& part : plan.micro_batches(step, rank)) {
              EXPECT_EQ(part.begin, next[shards.of(rank)]);
              EXPECT_GT(part.size(), 0);
              next[shards.of(rank)] = part.end;
              samples += part.size();
            }
          }
          EXPECT_EQ(samples, plan.batch(step).size());
          EXPECT_TRUE(samples == batch || step + 1 == plan.steps());
        }
        for (std::size_t shard = 0; shard < hosts.size(); ++shard) EXPECT_EQ(next[shard], hosts[shard].samples);
      }
    }
  }
}

TEST(Shards, AreNeverFarFromTheirShare) {
  for (const std::vector<Host>& hosts : kHosts) {
    const Shards shards(holdings(hosts));
    const auto most = static_cast<double>(std::bit_width(hosts.size() - 1));
    for (std::int64_t position = 0; position <= shards.samples(); ++position) {
      std::int64_t sum = 0;
      for (std::size_t shard = 0; shard < shards.count(); ++shard) {
        const std::int64_t taken = shards.part(shard, {0, position}).size();
        sum += taken;
        const double exact = static_cast<double>(position) * static_cast<double>(hosts[shard].samples) /
                             static_cast<double>(shards.samples());
        EXPECT_LE(std::abs(static_cast<double>(taken) - exact), most);
      }
      EXPECT_EQ(sum, position);
    }
  }
}

TEST(Shards, RanksOfAHostShareItsPartAlike) {
  for (const std::vector<Host>& hosts : kHosts) {
    const Shards shards(holdings(hosts));
    for (std::int64_t end = 0; end <= shards.samples(); end += 13) {
      for (int rank = 1; rank < shards.ranks(); ++rank) {
        if (shards.of(rank) != shards.of(rank - 1)) continue;
        const Slice positions{end / 2, end};
        EXPECT_LE(std::abs(shards.share(rank, positions).size() - shards.share(rank - 1, positions).size()), 1);
      }
    }
  }
}

TEST(Shards, HostsMayHaveTheirRanksInAnyOrder) {
  const Shards shards(Holdings{{0, 10}, {1, 6}, {0, 10}, {1, 6}});
  EXPECT_EQ(shards.count(), 2);
  EXPECT_EQ(shards.of(2), 0);
  EXPECT_EQ(shards.of(3), 1);
  EXPECT_EQ(shards.share(0, {0, 16}).begin, 0);
  EXPECT_EQ(shards.share(2, {0, 16}).begin, 5);
  EXPECT_EQ(shards.share(2, {0, 16}).end, 10);
  EXPECT_EQ(shards.share(3, {0, 16}).begin, 3);
  EXPECT_EQ(shards.share(3, {0, 16}).end, 6);
}

TEST(Shards, RefuseRanksOfAHostThatDiffer) {
  EXPECT_ERROR(Shards(Holdings{{0, 10}, {0, 9}}), InternalError, "ranks of one host");
}

TEST(Shards, MayBeLarge) {
  constexpr std::int64_t kMany = std::int64_t{1} << 40;
  const Shards shards(Holdings{{0, kMany}, {1, kMany / 3}, {2, 1}});
  std::int64_t sum = 0;
  for (std::size_t shard = 0; shard < 3; ++shard) sum += shards.part(shard, {0, shards.samples() - 1}).size();
  EXPECT_EQ(sum, shards.samples() - 1);
  EXPECT_EQ(shards.part(2, {0, shards.samples()}).size(), 1);
}

TEST(BatchPlan, EvenStepsGiveAllRanksEquallyMuch) {
  const BatchPlan alike(Shards(holdings({{64, 2}, {64, 2}})), 16, 0);
  for (std::int64_t step = 0; step < alike.steps(); ++step) EXPECT_TRUE(alike.even(step));
  EXPECT_FALSE(BatchPlan(Shards(holdings({{64, 2}, {64, 1}})), 16, 0).even(0));
  EXPECT_FALSE(BatchPlan(Shards(holdings({{64, 1}, {60, 1}})), 16, 0).even(7));
  EXPECT_TRUE(BatchPlan(64, 16, 0, 4).even(0));
  EXPECT_FALSE(BatchPlan(64, 15, 0, 4).even(0));
}

TEST(BatchPlan, SmallestShareLooksAtAllStepsOfShards) {
  for (const std::vector<Host>& hosts : kHosts) {
    for (const std::int64_t batch : {3, 16, 64}) {
      for (const std::int64_t micro : {0, 2}) {
        const BatchPlan plan(Shards(holdings(hosts)), batch, micro);
        std::int64_t least = batch + 1;
        for (std::int64_t step = 0; step < plan.steps(); ++step) {
          for (std::size_t rank = 0; rank < holdings(hosts).size(); ++rank) {
            for (const Slice& part : plan.micro_batches(step, static_cast<int>(rank))) {
              least = std::min(least, part.size());
            }
          }
        }
        EXPECT_EQ(plan.smallest_share(plan.steps()).samples, least);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep
