#include "watch/HangReport.h"

#include <algorithm>
#include <array>

#include "common/Text.h"
#include "watch/NativeStacks.h"

namespace lockstep {

namespace {

constexpr std::size_t kColumns = 9;
using Row = std::array<std::string, kColumns>;

std::string numbers_of(std::span<const RankState> ranks) {
  const std::string text = rank_list(ranks);
  return text.substr(text.find(' ') + 1);
}

Row row_of(const std::vector<RankState>& ranks) {
  const RankState& first = ranks.front();
  const bool alone = ranks.size() == 1;
  const bool one_host = std::ranges::count(ranks, first.host, &RankState::host) == std::ssize(ranks);
  std::string last = "none";
  if (first.collective) last = (first.collective->left ? "left " : "in ") + describe(*first.collective);
  return {numbers_of(ranks),
          one_host ? first.host : "several",
          alone ? std::to_string(first.pid) : "",
          name_of(first.process),
          name_of(first.phase),
          first.step == 0 ? "-" : with_commas(static_cast<long long>(first.step)),
          seconds_text(first.seconds_still()),
          last,
          first.steps == 0 ? "-" : seconds_text(first.last_step_seconds)};
}

std::string lines_of(const std::vector<Row>& rows) {
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < kColumns; ++i)
      line += "  " + format("%-*s", static_cast<int>(widths[i]), row[i].c_str());
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

bool in_one_place(const RankState& a, const RankState& b) {
  const bool same_collective = a.collective && b.collective
                                   ? a.collective->same_as(*b.collective) && a.collective->left == b.collective->left
                                   : a.collective.has_value() == b.collective.has_value();
  return same_collective && a.phase == b.phase && a.step == b.step && a.process == b.process;
}

std::string collectives_of(const CollectiveTrack& track, const char* whose) {
  constexpr double kNanoseconds = 1e9;
  const std::int64_t now = monotonic_now();
  const std::uint64_t count = track.count;
  std::string text;
  for (std::uint64_t sequence = count - std::min<std::uint64_t>(count, CollectiveTrack::kKept) + 1; sequence <= count;
       ++sequence) {
    const CollectiveTrack::Place& place = track.places[sequence % CollectiveTrack::kKept];
    const LastCollective collective = {.sequence = sequence,
                                       .operation = static_cast<Collective>(place.operation.load()),
                                       .count = place.count,
                                       .type = static_cast<DataType>(place.type.load())};
    const std::int64_t left = place.left;
    const std::int64_t entered = place.entered;
    text += format("  %s %s, entered %.3f s ago, ", whose, describe(collective).c_str(),
                   static_cast<double>(now - entered) / kNanoseconds);
    text +=
        left == 0 ? "not left\n" : format("left after %.6f s\n", static_cast<double>(left - entered) / kNanoseconds);
  }
  return text;
}

}  // namespace

RankDetails details_of(RankPage& page) {
  return {.rank = page.rank,
          .stacks = stacks_of(page),
          .collectives = collectives_of(page.host, "host") + collectives_of(page.device, "device")};
}

std::vector<int> ranks_to_describe(const Standstill& standstill, std::span<const RankState> ranks) {
  constexpr std::size_t kMissing = 4;
  std::vector<int> chosen;
  for (const RankState& rank : standstill.missing) {
    if (chosen.size() < kMissing) chosen.push_back(rank.rank);
  }
  const auto waits = std::ranges::find_if(ranks, [&](const RankState& rank) {
    return rank.waits() && std::ranges::count(standstill.missing, rank.rank, &RankState::rank) == 0;
  });
  if (waits != ranks.end()) chosen.push_back(waits->rank);
  return chosen;
}

std::string table_of(const Standstill& standstill, std::span<const RankState> ranks) {
  std::vector<Row> rows = {{"rank", "host", "pid", "process", "phase", "step", "since", "collective", "step before"}};
  for (const RankState& rank : standstill.missing) rows.push_back(row_of({rank}));
  std::vector<std::vector<RankState>> groups;
  for (const RankState& rank : ranks) {
    if (std::ranges::count(standstill.missing, rank.rank, &RankState::rank) > 0) continue;
    const auto group = std::ranges::find_if(groups, [&](const auto& each) { return in_one_place(each.front(), rank); });
    group == groups.end() ? groups.push_back({rank}) : group->push_back(rank);
  }
  for (const auto& group : groups) rows.push_back(row_of(group));
  return lines_of(rows);
}

std::string report_of(const Standstill& standstill, std::span<const RankState> ranks,
                      std::span<const RankDetails> details) {
  std::string text = standstill.text + "\n\n" + table_of(standstill, ranks);
  for (const RankDetails& each : details) {
    text += "\nthreads of rank " + std::to_string(each.rank) + ":\n" + each.stacks;
  }
  for (const RankDetails& each : details) {
    text += "\nlast collectives of rank " + std::to_string(each.rank) + ":\n" + each.collectives;
  }
  return text;
}

}  // namespace lockstep
