// A launcher's look at the ranks of its job.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "watch/HangReport.h"
#include "watch/HeardRanks.h"
#include "watch/RankPage.h"
#include "watch/RankState.h"
#include "watch/Standstill.h"
#include "watch/Stragglers.h"

namespace lockstep {

/// Reads the pages of this host's ranks and, on the leader, hears of those of other hosts. It needs nothing of the
/// ranks themselves, of MPI or of NCCL.
///
/// A member tells `own` from time to time. The leader calls `heard` with what members tell, and `look` in its loop;
/// when that finds something, it asks for `details` of the ranks that `ranks_to_describe` names, and `report`s.
class JobWatch {
 public:
  /// `report_file`: where all is written of a job that stands still.
  JobWatch(std::string host, const RankPages& pages, Patience patience, std::filesystem::path report_file);

  /// Where this host's ranks are.
  std::vector<RankState> own() const;
  /// Of those of these ranks that are on this host.
  std::vector<RankDetails> details(std::span<const int> ranks) const;

  /// Where this rank was when it was last heard of, or has ended (last_place_of); "" when nothing is known of it.
  std::string last_place(int rank) const;

  /// The ranks are started anew, when those before have ended.
  void start_again();
  /// Where another host's ranks are.
  void heard(const std::vector<RankState>& ranks);
  /// Whether the job stands still, or a collective has failed. Looks twice a second at most. Names slow ranks to
  /// rank 0. Of a rank that is gone mpirun says how it has ended, once it has ended the others: that is waited for.
  std::optional<Standstill> look();
  /// Where all ranks were when `look` looked.
  const std::vector<RankState>& all() const { return all_; }

  /// Shows the table and the stacks on standard error, and writes everything to the file. Returns the line that the
  /// job ends with.
  std::string report(const Standstill& standstill, std::span<const RankDetails> details) const;

 private:
  using Clock = std::chrono::steady_clock;

  std::vector<RankState> known(Clock::time_point now) const;
  void name_slow_ranks();

  std::string host_;
  const RankPages& pages_;
  Patience patience_;
  std::filesystem::path report_file_;
  HeardRanks others_;
  std::vector<RankState> all_;
  Stragglers stragglers_;
  Clock::time_point next_look_{};
  std::optional<Clock::time_point> failed_since_;
  std::optional<Clock::time_point> gone_since_;
};

/// As other hosts' launchers get it.
nlohmann::json states_message(std::span<const RankState> ranks);
std::vector<RankState> states_in(const nlohmann::json& message);

}  // namespace lockstep
