#include "launch/JobWatch.h"

#include <algorithm>
#include <iostream>
#include <iterator>
#include <utility>

#include "common/Error.h"
#include "common/File.h"

namespace lockstep {

namespace {

constexpr std::chrono::milliseconds kBetweenLooks(500);
// What is heard of other hosts is as old as this at most.
constexpr std::chrono::milliseconds kUntilAllHaveTold(1200);
// It gives ranks a second to end before it kills them, on a busy host it takes longer.
constexpr std::chrono::seconds kUntilMpirunHasTold(4);

}  // namespace

JobWatch::JobWatch(std::string host, const RankPages& pages, Patience patience, std::filesystem::path report_file)
    : host_(std::move(host)), pages_(pages), patience_(patience), report_file_(std::move(report_file)) {}

std::vector<RankState> JobWatch::own() const {
  std::vector<RankState> ranks;
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    if (pages_[i].pid != 0) ranks.push_back(state_of(pages_[i], host_));
  }
  return ranks;
}

std::vector<RankDetails> JobWatch::details(std::span<const int> ranks) const {
  std::vector<RankDetails> all;
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    RankPage& page = pages_[i];
    if (page.pid != 0 && std::ranges::count(ranks, page.rank.load()) > 0) all.push_back(details_of(page));
  }
  return all;
}

std::vector<RankState> JobWatch::known(Clock::time_point now) const {
  std::vector<RankState> ranks = own();
  std::ranges::move(others_.states(now), std::back_inserter(ranks));
  return ranks;
}

std::string JobWatch::last_place(int rank) const { return last_place_of(known(Clock::now()), rank); }

void JobWatch::start_again() {
  pages_.clear();
  others_.clear();
  all_.clear();
  stragglers_ = {};
  failed_since_.reset();
  gone_since_.reset();
}

void JobWatch::heard(const std::vector<RankState>& ranks) {
  for (const RankState& rank : ranks) others_.hear(rank);
}

std::optional<Standstill> JobWatch::look() {
  const auto now = Clock::now();
  if (now < next_look_) return std::nullopt;
  next_look_ = now + kBetweenLooks;
  all_ = known(now);
  std::ranges::sort(all_, {}, &RankState::rank);
  name_slow_ranks();
  const auto over = [&](std::optional<Clock::time_point>& since, Clock::duration wait) {
    if (!since) since = now;
    return now >= *since + wait;
  };
  if (auto failed = find_failed_collective(all_)) {
    return over(failed_since_, kUntilAllHaveTold) ? std::move(failed) : std::nullopt;
  }
  auto found = find_standstill(all_, patience_);
  if (!found || found->missing.front().process != ProcessState::kGone) {
    gone_since_.reset();
    return found;
  }
  return over(gone_since_, kUntilMpirunHasTold) ? std::move(found) : std::nullopt;
}

void JobWatch::name_slow_ranks() {
  for (const SlowRank& slow : stragglers_.look(all_)) {
    for (std::size_t i = 0; i < pages_.size(); ++i) {
      if (pages_[i].pid != 0 && pages_[i].rank == 0) tell(pages_[i], slow);
    }
  }
}

std::string JobWatch::report(const Standstill& standstill, std::span<const RankDetails> details) const {
  std::cerr << "lockstep: where the ranks are:\n" << table_of(standstill, all_);
  for (const RankDetails& each : details) std::cerr << "threads of rank " << each.rank << ":\n" << each.stacks;
  std::cerr << std::flush;
  try {
    std::filesystem::create_directories(report_file_.parent_path());
    OutputFile file(report_file_);
    file.write(report_of(standstill, all_, details));
    file.close();
    std::cerr << "lockstep: all of it, and the last collectives, are in " << report_file_.string() << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "lockstep: " << error.what() << std::endl;
  }
  return standstill.text;
}

nlohmann::json states_message(std::span<const RankState> ranks) {
  nlohmann::json states = nlohmann::json::array();
  for (const RankState& rank : ranks) states.push_back(rank.to_json());
  return {{"type", "states"}, {"states", std::move(states)}};
}

std::vector<RankState> states_in(const nlohmann::json& message) {
  std::vector<RankState> ranks;
  const auto states = message.find("states");
  if (states == message.end() || !states->is_array()) return ranks;
  for (const nlohmann::json& each : *states) {
    if (auto state = RankState::from_json(each)) ranks.push_back(std::move(*state));
  }
  return ranks;
}

}  // namespace lockstep
