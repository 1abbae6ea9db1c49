#include "watch/Stragglers.h"

#include <algorithm>

namespace lockstep {

namespace {

// Less is noise, and costs nobody anything.
constexpr double kLeastSeconds = 0.005;

}  // namespace

std::vector<SlowRank> Stragglers::look(std::span<const RankState> ranks) {
  std::vector<double> seconds;
  bool enough = ranks.size() > 1;
  for (const RankState& rank : ranks) {
    if (!since_.contains(rank.rank)) since_[rank.rank] = {.steps = rank.steps, .busy_seconds = rank.busy_seconds};
    const Seen& since = since_[rank.rank];
    // The first steps of a process are like no others.
    if (since.steps < kSteps) since_[rank.rank] = {.steps = rank.steps, .busy_seconds = rank.busy_seconds};
    const auto steps = static_cast<double>(rank.steps - since.steps);
    enough &= rank.steps >= since.steps + kSteps;
    seconds.push_back(enough ? (rank.busy_seconds - since.busy_seconds) / steps : 0);
  }
  if (!enough) return {};
  std::vector<double> sorted = seconds;
  std::ranges::sort(sorted);
  const double median = sorted[(sorted.size() - 1) / 2];
  std::vector<SlowRank> slow;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const bool is_slow = seconds[i] > kSlow * median && seconds[i] > median + kLeastSeconds;
    if (is_slow && !was_slow_[ranks[i].rank])
      slow.push_back(
          {.rank = ranks[i].rank, .host = ranks[i].host, .factor = seconds[i] / std::max(median, kLeastSeconds / 10)});
    was_slow_[ranks[i].rank] = is_slow;
    since_[ranks[i].rank] = {.steps = ranks[i].steps, .busy_seconds = ranks[i].busy_seconds};
  }
  return slow;
}

void tell(RankPage& page, const SlowRank& slow) {
  page.straggler = slow.rank;
  page.straggler_factor = slow.factor;
  set_text(page.straggler_host, slow.host);
  ++page.stragglers;
}

}  // namespace lockstep
