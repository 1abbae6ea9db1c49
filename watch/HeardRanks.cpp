#include "watch/HeardRanks.h"

#include <utility>

namespace lockstep {

std::vector<RankState> HeardRanks::states(Clock::time_point now) const {
  std::vector<RankState> states;
  for (const auto& [number, heard] : ranks_) {
    RankState state = heard.state;
    const auto since = now - heard.when;
    const double seconds = std::chrono::duration<double>(since).count();
    const bool silent = silent_after_ && since > *silent_after_ && !is_still(state.process);
    if (silent) state.process = ProcessState::kSilent;
    // Of a silent one only the silence is known to be a standstill.
    state.phase_seconds = seconds + (silent ? 0 : state.phase_seconds);
    if (state.collective) state.collective->seconds = seconds + (silent ? 0 : state.collective->seconds);
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace lockstep
