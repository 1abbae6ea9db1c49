#include "engine/commands/RankWatchdog.h"

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <thread>
#include <utility>

#include "common/File.h"

namespace lockstep {

namespace {

using std::chrono::milliseconds;

// Without a beat for so long a rank is silent.
constexpr std::chrono::seconds kSilent(3);
// What is heard of other ranks is as old as this at most.
constexpr milliseconds kUntilAllHaveTold(1200);
// The first of those that judge by themselves ends the others.
constexpr milliseconds kForLowerRanks(200);
constexpr int kMostLowerRanks = 10;

}  // namespace

RankWatchdog::RankWatchdog(Communicator& communicator, const RankPages& pages, std::size_t index,
                           const std::string& host, Patience patience, std::filesystem::path report_file, Ends ends)
    : rank_(communicator.rank()),
      host_(host),
      page_(pages[index]),
      patience_(patience),
      report_file_(std::move(report_file)),
      ends_(std::move(ends)),
      heard_(kSilent) {
  const std::vector<std::string> hosts = communicator.all_gather(host);
  const std::vector<std::string> paths = communicator.all_gather(pages.path());
  for (int rank = 0; rank < communicator.size(); ++rank) {
    const auto number = static_cast<std::size_t>(rank);
    if (rank == rank_ || hosts[number] != host) continue;
    auto found = RankPages::open(paths[number]);
    for (std::size_t i = 0; found && i < found->size(); ++i) {
      RankPage& page = (*found)[i];
      if (page.pid == 0 || page.rank != rank) continue;
      siblings_.emplace(rank, Sibling{.pages = std::move(*found), .page = page});
      break;
    }
  }
  communicator.barrier();  // nobody ends before its page is open
}

PeerWatch::Beats RankWatchdog::beats() {
  return {.own = [this] { return state_of(page_, host_).to_json().dump(); },
          .heard =
              [this](int, const std::string& line) {
                const nlohmann::json text = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
                const auto state = RankState::from_json(text);
                if (state && !siblings_.contains(state->rank)) heard_.hear(*state);
              },
          .turn = [this] { look(); },
          .last_place = [this](int rank) { return last_place_of(states(), rank); }};
}

std::vector<RankState> RankWatchdog::states() const {
  std::vector<RankState> ranks = {state_of(page_, host_)};
  for (const auto& [rank, sibling] : siblings_) ranks.push_back(state_of(sibling.page, host_));
  std::ranges::move(heard_.states(), std::back_inserter(ranks));
  std::ranges::sort(ranks, {}, &RankState::rank);
  return ranks;
}

void RankWatchdog::look() {
  const std::vector<RankState> ranks = states();
  if (rank_ > 0) {
    const auto first = std::ranges::find(ranks, 0, &RankState::rank);
    if (first == ranks.end() || !is_still(first->process)) return;
  } else {
    for (const SlowRank& slow : stragglers_.look(ranks)) tell(page_, slow);
  }
  const auto failed = find_failed_collective(ranks);
  const auto found = failed ? failed : find_standstill(ranks, patience_);
  if (!found) {
    found_since_.reset();
    return;
  }
  if (!found_since_) found_since_ = Clock::now();
  const milliseconds wait =
      std::min(rank_, kMostLowerRanks) * kForLowerRanks + (failed ? kUntilAllHaveTold : milliseconds(0));
  if (Clock::now() >= *found_since_ + wait) end(*found, ranks);
}

void RankWatchdog::end(const Standstill& standstill, const std::vector<RankState>& ranks) {
  std::vector<RankDetails> details;
  for (const int rank : ranks_to_describe(standstill, ranks)) {
    if (rank == rank_) details.push_back(details_of(page_));
    if (const auto sibling = siblings_.find(rank); sibling != siblings_.end()) {
      details.push_back(details_of(sibling->second.page));
    }
  }
  std::fprintf(stderr, "lockstep: where the ranks are:\n%s", table_of(standstill, ranks).c_str());
  for (const RankDetails& each : details) {
    std::fprintf(stderr, "threads of rank %d:\n%s", each.rank, each.stacks.c_str());
  }
  try {
    std::filesystem::create_directories(report_file_.parent_path());
    OutputFile file(report_file_);
    file.write(report_of(standstill, ranks, details));
    file.close();
    std::fprintf(stderr, "lockstep: all of it, and the last collectives, are in %s\n", report_file_.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lockstep: %s\n", error.what());
  }
  std::fflush(stderr);
  ends_(standstill.text);
}

void RankWatchdog::kill_stopped(std::chrono::seconds time) const {
  std::vector<pid_t> stopped;
  for (const auto& [rank, sibling] : siblings_) {
    const pid_t pid = sibling.page.pid;
    if (process_state(pid) == ProcessState::kStopped || sibling.page.threads_stay) stopped.push_back(pid);
  }
  if (stopped.empty()) return;
  std::this_thread::sleep_for(time);
  for (const pid_t pid : stopped) ::kill(pid, SIGKILL);
}

}  // namespace lockstep
