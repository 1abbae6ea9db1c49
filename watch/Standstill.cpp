#include "watch/Standstill.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include "common/Text.h"

namespace lockstep {

namespace {

// On a GPU the first steps choose algorithms, and are captured.
constexpr std::uint64_t kFirstSteps = 3;
constexpr double kOfUsual = 10;

bool is_known(const RankState& rank) { return rank.pid != 0 && rank.phase != Phase::kDone; }

std::string where(const RankState& rank) {
  std::string text = place_of(rank);
  if (!rank.collective) return text + ", before any collective";
  return text + (rank.collective->left ? ", behind " : ", in ") + describe(*rank.collective);
}

using Group = std::vector<RankState>;

// Ranks by the collective that they have entered last, the largest group first; of two, the one that is further.
std::vector<Group> by_collective(std::span<const RankState> ranks) {
  std::vector<Group> groups;
  for (const RankState& rank : ranks) {
    if (!rank.collective) continue;
    const auto found = std::ranges::find_if(
        groups, [&](const Group& group) { return group.front().collective->same_as(*rank.collective); });
    found == groups.end() ? groups.push_back({rank}) : found->push_back(rank);
  }
  std::ranges::stable_sort(groups, [](const Group& a, const Group& b) {
    if (a.size() != b.size()) return a.size() > b.size();
    return a.front().collective->sequence > b.front().collective->sequence;
  });
  return groups;
}

Group all_but_first(const std::vector<Group>& groups) {
  Group rest;
  for (std::size_t i = 1; i < groups.size(); ++i) std::ranges::copy(groups[i], std::back_inserter(rest));
  return rest;
}

std::string what_others_do(std::span<const RankState> ranks, std::span<const RankState> missing) {
  Group waiting;
  for (const RankState& rank : ranks) {
    if (rank.waits() && std::ranges::count(missing, rank.rank, &RankState::rank) == 0) waiting.push_back(rank);
  }
  if (waiting.empty()) return "";
  const std::vector<Group> groups = by_collective(waiting);
  if (groups.empty()) return "; " + rank_list(waiting) + (waiting.size() > 1 ? " wait" : " waits") + " for the device";
  const Group& most = groups.front();
  return "; " + rank_list(most) + (most.size() > 1 ? " wait in " : " waits in ") + describe(*most.front().collective) +
         " (" + place_of(most.front()) + ")";
}

bool is_gone(const RankState& rank) { return rank.process == ProcessState::kGone; }

Standstill standstill(Group missing, std::span<const RankState> ranks) {
  const bool gone = std::ranges::any_of(missing, is_gone);
  if (gone) std::erase_if(missing, std::not_fn(is_gone));  // for what is gone the others wait
  std::ranges::stable_sort(missing, std::ranges::greater(), &RankState::seconds_still);
  const RankState& first = missing.front();
  std::string text =
      gone ? "rank " + std::to_string(first.rank) + " on " + first.host + " is gone; " + last_place_of(first)
           : name_of(first) + " stands still for " + seconds_text(first.seconds_still()) + " in " + where(first);
  if (const Group rest(missing.begin() + 1, missing.end()); !rest.empty()) {
    text +=
        std::string("; so ") + (rest.size() > 1 ? (gone ? "are " : "do ") : (gone ? "is " : "does ")) + rank_list(rest);
  }
  text += what_others_do(ranks, missing);
  return {.missing = std::move(missing), .text = std::move(text)};
}

}  // namespace

std::string seconds_text(double seconds) { return format(seconds < 10 ? "%.2f s" : "%.0f s", seconds); }

std::string name_of(const RankState& rank) {
  return "rank " + std::to_string(rank.rank) + " on " + rank.host + " (pid " + std::to_string(rank.pid) + ", " +
         name_of(rank.process) + ")";
}

std::string place_of(const RankState& rank) {
  const std::string phase = "phase " + std::string(name_of(rank.phase));
  return rank.step == 0 ? phase : "step " + with_commas(static_cast<long long>(rank.step)) + ", " + phase;
}

std::string last_place_of(const RankState& rank) { return "it was last in " + where(rank); }

std::string last_place_of(std::span<const RankState> ranks, int rank) {
  const auto found = std::ranges::find(ranks, rank, &RankState::rank);
  return found == ranks.end() ? "" : last_place_of(*found);
}

std::string rank_list(std::span<const RankState> ranks) {
  std::vector<int> numbers;
  for (const RankState& rank : ranks) numbers.push_back(rank.rank);
  std::ranges::sort(numbers);
  std::string text;
  for (std::size_t first = 0, last = 0; first < numbers.size(); first = last + 1) {
    for (last = first; last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1;) ++last;
    text += (text.empty() ? "" : ", ") + std::to_string(numbers[first]);
    if (last > first) text += "-" + std::to_string(numbers[last]);
  }
  return (numbers.size() == 1 ? "rank " : "ranks ") + text;
}

double deadline_of(const RankState& rank, const Patience& patience) {
  // Whatever its phase usually takes, it does nothing in it.
  if (is_still(rank.process)) return patience.phase;
  const double limit = is_rare(rank.phase) || rank.steps < kFirstSteps ? patience.rare : patience.phase;
  return std::max(limit, kOfUsual * rank.usual_seconds);
}

std::optional<Standstill> find_standstill(std::span<const RankState> ranks, const Patience& patience) {
  Group known;
  std::ranges::copy_if(ranks, std::back_inserter(known), is_known);
  const auto late = [&](const RankState& rank) { return rank.seconds_still() > deadline_of(rank, patience); };
  const auto to_blame = [](const RankState& rank) { return !rank.waits() || is_still(rank.process); };
  Group missing;
  std::ranges::copy_if(known, std::back_inserter(missing),
                       [&](const RankState& rank) { return to_blame(rank) && late(rank); });
  if (!missing.empty()) return standstill(std::move(missing), known);
  if (known.empty() || std::ranges::any_of(known, to_blame) || !std::ranges::all_of(known, late)) return std::nullopt;
  const std::vector<Group> groups = by_collective(known);
  if (groups.size() > 1) return standstill(all_but_first(groups), known);
  Standstill all = standstill(known, {});
  if (known.size() > 1) all.text += ": all are in the same place, so the way between them or a device stands still";
  return all;
}

std::optional<Standstill> find_failed_collective(std::span<const RankState> ranks) {
  const auto failed = std::ranges::find_if(ranks, [](const RankState& rank) { return !rank.failure.empty(); });
  if (failed == ranks.end()) return std::nullopt;
  Standstill found{.missing = {*failed}, .text = name_of(*failed) + ", " + where(*failed) + ": " + failed->failure};
  for (Group& group : by_collective(ranks)) {
    std::erase_if(group, [&](const RankState& rank) { return rank.rank == failed->rank; });
    if (group.empty()) continue;
    const RankState& first = group.front();
    found.text += "; " + (group.size() > 1 ? rank_list(group) + " have called " : name_of(first) + " has called ") +
                  describe(*first.collective) + " in " + place_of(first);
  }
  return found;
}

}  // namespace lockstep
