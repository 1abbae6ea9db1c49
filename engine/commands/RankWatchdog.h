// What launchers of ours do, done by the ranks themselves where there is none.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/collectives/PeerWatch.h"
#include "watch/HangReport.h"
#include "watch/HeardRanks.h"
#include "watch/RankPage.h"
#include "watch/RankState.h"
#include "watch/Standstill.h"
#include "watch/Stragglers.h"

namespace lockstep {

/// Knows where ranks are: of this host's it reads the pages, of the others rank 0 hears, and they hear of rank 0, by a
/// PeerWatch's beats. Rank 0 judges whether the job stands still; where it is rank 0 that does nothing, the others do,
/// by what they know.
class RankWatchdog {
 public:
  /// Is called in the watch's thread with the line that the job ends with, and must end it.
  using Ends = std::function<void(const std::string& reason)>;

  /// A collective. This rank's page is `pages[index]`; `host`: this rank's; `report_file`: where all is written of a
  /// job that stands still.
  RankWatchdog(Communicator& communicator, const RankPages& pages, std::size_t index, const std::string& host,
               Patience patience, std::filesystem::path report_file, Ends ends);

  /// For a PeerWatch, which this must outlive.
  PeerWatch::Beats beats();
  /// SIGKILL for the ranks of this host that are stopped, which would not end otherwise. Waits `time` before it, if
  /// there are any: what has started the ranks may end them by then. It would take the first rank that is killed for
  /// the cause.
  void kill_stopped(std::chrono::seconds time) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Sibling {
    RankPages pages;
    RankPage& page;
  };

  std::vector<RankState> states() const;
  void look();
  void end(const Standstill& standstill, const std::vector<RankState>& ranks);

  int rank_;
  std::string host_;
  RankPage& page_;
  std::map<int, Sibling> siblings_;  ///< other ranks of this host
  Patience patience_;
  std::filesystem::path report_file_;
  Ends ends_;
  HeardRanks heard_;  ///< ranks of other hosts
  Stragglers stragglers_;
  std::optional<Clock::time_point> found_since_;
};

}  // namespace lockstep
