#include "watch/HangReport.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/RankStates.h"

namespace lockstep {
namespace {

std::vector<RankState> four_ranks() {
  return {rank_waiting(0, 8, 32), rank_waiting(1, 8, 32), rank_in(2, Phase::kData, 6), rank_waiting(3, 8, 32)};
}

// One row for those that are in one place.
TEST(HangReport, TheTableHasTheDifferences) {
  const auto found = find_standstill(four_ranks(), {.phase = 5, .rare = 60});
  ASSERT_TRUE(found);
  EXPECT_EQ(
      table_of(*found, four_ranks()),
      "  rank    host     pid  process  phase      step  since   collective                                  step "
      "before\n"
      "  2       b        102  running  data       11    6.00 s  none                                        0.25 s\n"
      "  0-1, 3  several       running  reduction  11    8.00 s  in collective 32 (all_reduce of 7 float32)  0.25 s"
      "\n");
  EXPECT_EQ(ranks_to_describe(*found, four_ranks()), (std::vector<int>{2, 0}));
}

TEST(HangReport, HoldsTheLastCollectives) {
  RankPages pages(1);
  RankPage& page = pages[0];
  page.rank = 2;
  for (std::uint64_t i = 1; i <= CollectiveTrack::kKept + 3; ++i) {
    CollectiveTrack::Place& place = page.host.places[i % CollectiveTrack::kKept];
    place.operation = static_cast<std::uint32_t>(Collective::kAllGather);
    place.count = i;
    place.left = 1;
    page.host.count = i;
  }
  const RankDetails details = details_of(page);
  EXPECT_EQ(details.collectives.find("collective 3 "), std::string::npos);
  EXPECT_NE(details.collectives.find("collective 4 (all_gather of 4 float32)"), std::string::npos);
  EXPECT_NE(details.collectives.find("collective 67 (all_gather of 67 float32)"), std::string::npos);
  EXPECT_EQ(details.stacks, "  the process is gone\n");
}

}  // namespace
}  // namespace lockstep
