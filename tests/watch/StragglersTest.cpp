#include "watch/Stragglers.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/RankStates.h"
#include "watch/RankPosition.h"

namespace lockstep {
namespace {

/// Four ranks after so many steps, of which rank 2 takes so long for one.
std::vector<RankState> after(std::uint64_t steps, double seconds_of_rank_2) {
  static double busy = 0;
  static std::uint64_t before = 0;
  busy += static_cast<double>(steps - before) * seconds_of_rank_2;
  before = steps;
  std::vector<RankState> ranks;
  for (int rank = 0; rank < 4; ++rank) {
    ranks.push_back(rank_in(rank, Phase::kForward, 0));
    ranks.back().steps = steps;
    ranks.back().busy_seconds = rank == 2 ? busy : static_cast<double>(steps) * 0.1;
  }
  return ranks;
}

TEST(Stragglers, ASlowRankIsNamedOnceUntilItIsNoLonger) {
  Stragglers stragglers;
  EXPECT_TRUE(stragglers.look(after(20, 5)).empty());  // the first steps do not count
  EXPECT_TRUE(stragglers.look(after(40, 0.14)).empty());
  EXPECT_TRUE(stragglers.look(after(59, 0.2)).empty());
  const auto slow = stragglers.look(after(60, 0.2));
  ASSERT_EQ(slow.size(), 1);
  EXPECT_EQ(slow[0].rank, 2);
  EXPECT_EQ(slow[0].host, "b");
  EXPECT_NEAR(slow[0].factor, 2, 1e-6);
  EXPECT_TRUE(stragglers.look(after(80, 0.2)).empty());
  EXPECT_TRUE(stragglers.look(after(100, 0.1)).empty());
  EXPECT_EQ(stragglers.look(after(120, 0.3)).size(), 1);
}

TEST(Stragglers, Rank0IsTold) {
  RankPages pages(1);
  RankPosition position(&pages[0]);
  EXPECT_FALSE(position.slow_rank());
  tell(pages[0], {.rank = 2, .host = "b", .factor = 1.75});
  const auto slow = position.slow_rank();
  ASSERT_TRUE(slow);
  EXPECT_EQ(slow->host, "b");
  EXPECT_EQ(slow->factor, 1.75);
  EXPECT_FALSE(position.slow_rank());
}

}  // namespace
}  // namespace lockstep
