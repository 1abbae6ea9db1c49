#include "watch/Standstill.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/RankStates.h"

namespace lockstep {
namespace {

constexpr Patience kPatience = {.phase = 5, .rare = 60};
using Ranks = std::vector<RankState>;

TEST(Standstill, ARankThatOthersWaitForIsNamed) {
  Ranks ranks = {rank_waiting(0, 8, 32), rank_waiting(1, 8, 32), rank_in(2, Phase::kData, 6), rank_waiting(3, 8, 32)};
  ranks[2].collective = {.sequence = 31, .operation = Collective::kBarrier, .left = true, .seconds = 7};
  const auto found = find_standstill(ranks, kPatience);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text,
            "rank 2 on b (pid 102, running) stands still for 6.00 s in step 11, phase data, behind collective 31 "
            "(barrier); ranks 0-1, 3 wait in collective 32 (all_reduce of 7 float32) (step 11, phase reduction)");
  ASSERT_EQ(found->missing.size(), 1);
  EXPECT_EQ(found->missing[0].rank, 2);
}

TEST(Standstill, NobodyIsBlamedBeforeTheDeadline) {
  EXPECT_FALSE(find_standstill(Ranks{}, kPatience));
  EXPECT_FALSE(find_standstill(Ranks{rank_waiting(0, 100, 32), rank_in(1, Phase::kData, 4)}, kPatience));
  // A collective that was left a moment ago is progress.
  Ranks ranks = {rank_waiting(0, 1, 32), rank_in(1, Phase::kBackward, 30)};
  ranks[1].collective = ranks[0].collective;
  ranks[1].collective->left = true;
  EXPECT_FALSE(find_standstill(ranks, kPatience));
}

TEST(Standstill, ADeadlineFollowsWhatAPhaseUsuallyTakes) {
  RankState rank = rank_in(0, Phase::kData, 0);
  EXPECT_EQ(deadline_of(rank, kPatience), 5);
  rank.usual_seconds = 3;
  EXPECT_EQ(deadline_of(rank, kPatience), 30);
}

TEST(Standstill, RarePhasesAndFirstStepsHaveTheirOwnDeadline) {
  for (const Phase phase : {Phase::kStart, Phase::kEvaluation, Phase::kCheckpoint, Phase::kArtifacts}) {
    EXPECT_FALSE(find_standstill(Ranks{rank_waiting(0, 59, 32), rank_in(1, phase, 59)}, kPatience));
    EXPECT_TRUE(find_standstill(Ranks{rank_waiting(0, 61, 32), rank_in(1, phase, 61)}, kPatience));
  }
  RankState first = rank_in(1, Phase::kForward, 59);
  first.steps = 2;
  EXPECT_FALSE(find_standstill(Ranks{first}, kPatience));
  first.phase_seconds = 61;
  EXPECT_TRUE(find_standstill(Ranks{first}, kPatience));
}

TEST(Standstill, ARankThatIsStoppedIsToBlameWhereverItIs) {
  Ranks ranks = {rank_waiting(0, 6, 32), rank_waiting(1, 6, 32)};
  ranks[1].process = ProcessState::kStopped;
  const auto found = find_standstill(ranks, kPatience);
  ASSERT_TRUE(found);
  EXPECT_TRUE(
      found->text.starts_with("rank 1 on a (pid 101, stopped) stands still for 6.00 s in step 11, phase "
                              "reduction, in collective 32"))
      << found->text;
}

TEST(Standstill, WhereRanksAreGoneTheyAloneAreToBlame) {
  Ranks ranks = {rank_waiting(0, 6, 32), rank_waiting(1, 7, 31), rank_in(2, Phase::kData, 8), rank_waiting(3, 6, 32)};
  ranks[1].process = ProcessState::kGone;
  auto found = find_standstill(ranks, kPatience);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text,
            "rank 1 on a is gone; it was last in step 11, phase reduction, in collective 31 (all_reduce of 7 float32); "
            "ranks 0, 3 wait in collective 32 (all_reduce of 7 float32) (step 11, phase reduction)");
  ranks[0].process = ranks[3].process = ProcessState::kGone;
  found = find_standstill(ranks, kPatience);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->text.starts_with("rank 1 on a is gone; ") && found->text.ends_with("; so are ranks 0, 3"))
      << found->text;
}

TEST(Standstill, SaysWhoElseStandsStill) {
  Ranks ranks = {rank_in(0, Phase::kData, 6), rank_in(1, Phase::kData, 7)};
  EXPECT_TRUE(find_standstill(ranks, kPatience)->text.ends_with("; so does rank 0"));
  ranks.push_back(rank_in(2, Phase::kData, 6));
  EXPECT_TRUE(find_standstill(ranks, kPatience)->text.ends_with("; so do ranks 0, 2"));
}

// It makes no progress in a checkpoint either.
TEST(Standstill, ARankThatIsStoppedHasNoRarePhase) {
  RankState rank = rank_in(1, Phase::kCheckpoint, 6);
  rank.usual_seconds = 3;
  for (const ProcessState state : {ProcessState::kStopped, ProcessState::kSilent}) {
    rank.process = state;
    EXPECT_EQ(deadline_of(rank, kPatience), kPatience.phase);
    EXPECT_TRUE(find_standstill(Ranks{rank_waiting(0, 6, 32), rank}, kPatience));
  }
}

TEST(Standstill, WhereAllWaitTheOneInAnotherCollectiveIsNamed) {
  const auto found = find_standstill(
      Ranks{rank_waiting(0, 6, 32), rank_waiting(1, 6, 31), rank_waiting(2, 6, 32), rank_waiting(3, 6, 32)}, kPatience);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->missing.front().rank, 1);
  EXPECT_NE(found->text.find("in collective 31"), std::string::npos);
  EXPECT_NE(found->text.find("ranks 0, 2-3 wait in collective 32"), std::string::npos) << found->text;
  // Of two, the one that is behind.
  const auto behind = find_standstill(Ranks{rank_waiting(0, 6, 31), rank_waiting(1, 6, 32)}, kPatience);
  ASSERT_TRUE(behind);
  EXPECT_EQ(behind->missing.front().rank, 0);
}

TEST(Standstill, WhereAllWaitInOnePlaceNoRankIsToBlame) {
  const auto found = find_standstill(Ranks{rank_waiting(0, 6, 31), rank_waiting(1, 6, 31)}, kPatience);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->missing.size(), 2);
  EXPECT_NE(found->text.find("all are in the same place"), std::string::npos);
}

TEST(Standstill, RanksThatAreDoneOrHaveNotComeAreNotJudged) {
  RankState absent = rank_in(1, Phase::kData, 1e6);
  absent.pid = 0;
  EXPECT_FALSE(find_standstill(Ranks{absent, rank_in(0, Phase::kDone, 1e6)}, kPatience));
}

TEST(Standstill, AFailedCollectiveNamesWhoDiffers) {
  Ranks ranks = {rank_waiting(0, 1, 32), rank_waiting(1, 1, 32), rank_waiting(2, 1, 32, 8)};
  EXPECT_FALSE(find_failed_collective(ranks));
  ranks[0].failure = "message truncated";
  const auto found = find_failed_collective(ranks);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text,
            "rank 0 on a (pid 100, running), step 11, phase reduction, in collective 32 (all_reduce of 7 float32): "
            "message truncated; rank 1 on a (pid 101, running) has called collective 32 (all_reduce of 7 float32) in "
            "step 11, phase reduction; rank 2 on b (pid 102, running) has called collective 32 (all_reduce of 8 "
            "float32) in step 11, phase reduction");
}

TEST(Standstill, SaysWhereARankWasLast) {
  EXPECT_EQ(last_place_of(rank_waiting(1, 2, 32)),
            "it was last in step 11, phase reduction, in collective 32 (all_reduce of 7 float32)");
  EXPECT_EQ(last_place_of(rank_in(1, Phase::kData, 2)), "it was last in step 11, phase data, before any collective");
}

TEST(RankState, TravelsAsJson) {
  for (RankState state : {rank_waiting(3, 1.5, 32), rank_in(1, Phase::kData, 2)}) {
    state.failure = "why";
    const auto read = RankState::from_json(state.to_json());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->to_json(), state.to_json());
  }
  nlohmann::json wrong = rank_in(1, Phase::kData, 2).to_json();
  wrong["phase"] = 99;
  EXPECT_FALSE(RankState::from_json(wrong));
  EXPECT_FALSE(RankState::from_json(nlohmann::json::array()));
  for (const char* name : {"rank", "pid", "step", "steps", "phase"}) {
    for (const nlohmann::json& number : {nlohmann::json(1e300), nlohmann::json(1.5), nlohmann::json("1")}) {
      nlohmann::json bad = RankState().to_json();
      bad[name] = number;
      EXPECT_FALSE(RankState::from_json(bad)) << name << ": " << number;
    }
  }
}

}  // namespace
}  // namespace lockstep
