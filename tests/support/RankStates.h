// Ranks that are somewhere.
#pragma once

#include "watch/RankState.h"

namespace lockstep {

/// One that has made ten steps and computes.
inline RankState rank_in(int rank, Phase phase, double seconds) {
  return {.rank = rank,
          .host = rank < 2 ? "a" : "b",
          .pid = 100 + rank,
          .phase = phase,
          .phase_seconds = seconds,
          .usual_seconds = 0.1,
          .step = 11,
          .steps = 10,
          .last_step_seconds = 0.25};
}

/// One that waits in a collective.
inline RankState rank_waiting(int rank, double seconds, std::uint64_t sequence, std::uint64_t count = 7) {
  RankState state = rank_in(rank, Phase::kReduction, seconds);
  state.collective = {.sequence = sequence,
                      .operation = Collective::kAllReduce,
                      .count = count,
                      .type = DataType::kFloat32,
                      .left = false,
                      .seconds = seconds};
  return state;
}

}  // namespace lockstep
