// Which ranks are slow.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "watch/RankPosition.h"
#include "watch/RankState.h"

namespace lockstep {

/// Compares what ranks themselves need for a step, without what they wait for each other. A rank that needs more than
/// one and a half times what the median rank does, over at least twenty steps, is slow. It is named once, and again
/// when it has not been slow for as long.
///
/// On a GPU this is the time of the host: of reading data and enqueueing.
class Stragglers {
 public:
  static constexpr std::uint64_t kSteps = 20;
  static constexpr double kSlow = 1.5;

  /// To be called now and then, with all ranks; those that it names.
  std::vector<SlowRank> look(std::span<const RankState> ranks);

 private:
  struct Seen {
    std::uint64_t steps = 0;
    double busy_seconds = 0;
  };

  std::map<int, Seen> since_;     ///< where the steps that are looked at began
  std::map<int, bool> was_slow_;  ///< in those before
};

/// For the rank whose page this is to say (RankPosition::slow_rank).
void tell(RankPage& page, const SlowRank& slow);

}  // namespace lockstep
