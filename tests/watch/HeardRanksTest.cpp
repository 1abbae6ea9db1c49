#include "watch/HeardRanks.h"

#include <gtest/gtest.h>

#include <chrono>

#include "tests/support/RankStates.h"

namespace lockstep {
namespace {

using std::chrono::seconds;

constexpr HeardRanks::Clock::time_point kThen{seconds(100)};

TEST(HeardRanks, StayWhereTheyWere) {
  HeardRanks ranks;
  ranks.hear(rank_waiting(2, 6, 32), kThen);
  ranks.hear(rank_in(1, Phase::kData, 3), kThen + seconds(8));
  const auto found = ranks.states(kThen + seconds(10));
  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(found[0].rank, 1);
  EXPECT_EQ(found[0].phase_seconds, 5);
  EXPECT_EQ(found[1].collective->seconds, 16);
  EXPECT_EQ(found[1].process, ProcessState::kRunning);
  ranks.clear();
  EXPECT_TRUE(ranks.states().empty());
}

TEST(HeardRanks, AreSilentWhenNothingWasHeardForLong) {
  HeardRanks ranks(seconds(3));
  ranks.hear(rank_waiting(0, 6, 32), kThen);
  RankState stopped = rank_in(1, Phase::kData, 6);
  stopped.process = ProcessState::kStopped;
  ranks.hear(stopped, kThen);
  EXPECT_EQ(ranks.states(kThen + seconds(3))[0].process, ProcessState::kRunning);
  const auto found = ranks.states(kThen + seconds(4));
  EXPECT_EQ(found[0].process, ProcessState::kSilent);
  EXPECT_EQ(found[0].phase_seconds, 4) << "of the silence";
  EXPECT_EQ(found[0].collective->seconds, 4);
  EXPECT_EQ(found[1].process, ProcessState::kStopped);
  EXPECT_EQ(found[1].phase_seconds, 10);
}

}  // namespace
}  // namespace lockstep
