// Ranks that others tell of.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "watch/RankState.h"

namespace lockstep {

/// Where ranks were when they were last heard of, and how long that is ago: a rank of which nothing more is heard is
/// taken to have stayed where it was.
class HeardRanks {
 public:
  using Clock = std::chrono::steady_clock;

  /// `silent_after`: a running rank of which nothing was heard for so long counts as silent; nothing: none does, for
  /// whoever tells of them is missed otherwise.
  explicit HeardRanks(std::optional<Clock::duration> silent_after = std::nullopt) : silent_after_(silent_after) {}

  void hear(const RankState& rank, Clock::time_point when = Clock::now()) { ranks_[rank.rank] = {rank, when}; }
  /// As they are now, by rank.
  std::vector<RankState> states(Clock::time_point now = Clock::now()) const;
  /// Nothing was heard of anybody.
  void clear() { ranks_.clear(); }

 private:
  struct Heard {
    RankState state;
    Clock::time_point when;
  };

  std::optional<Clock::duration> silent_after_;
  std::map<int, Heard> ranks_;
};

}  // namespace lockstep
