// Whether a job stands still, and whom it waits for.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/Error.h"
#include "watch/RankState.h"

namespace lockstep {

/// The job ends because its ranks stand still, or a collective of theirs has failed.
class StandstillError : public Error {
 public:
  explicit StandstillError(const std::string& message) : Error(kExitRankFailed, message) {}
};

/// How long a rank may stay in one phase, in seconds.
struct Patience {
  double phase = 600;  ///< of a step
  double rare = 7200;  ///< of what is no part of a step (is_rare), and of a process's first steps
};

/// How long this rank may stay in the phase that it is in: what `patience` says, and at least ten times what the phase
/// has lately taken.
double deadline_of(const RankState& rank, const Patience& patience);

struct Standstill {
  std::vector<RankState> missing;  ///< whom the others wait for, the longest first
  std::string text;                ///< one line: who, where, since when, and what the others wait in
};

/// Of all ranks that are known. A rank that waits for others, as in a collective, is not to blame, unless it is stopped
/// or gone; where one is gone, those are that are; where all wait, those whose collective is another one than that of
/// most.
std::optional<Standstill> find_standstill(std::span<const RankState> ranks, const Patience& patience);

/// Where a collective has failed on some rank: what was said of it, and what the others have called.
std::optional<Standstill> find_failed_collective(std::span<const RankState> ranks);

/// "0.52 s", "12 s".
std::string seconds_text(double seconds);
/// "rank 3 on algo-2 (pid 812, stopped)".
std::string name_of(const RankState& rank);
/// "step 57, phase backward".
std::string place_of(const RankState& rank);
/// Of a rank that has ended: "it was last in step 57, phase backward, behind collective 311 (…)".
std::string last_place_of(const RankState& rank);
/// The same of the rank of this number; "" where it is none of them.
std::string last_place_of(std::span<const RankState> ranks, int rank);
/// "ranks 0-2, 5".
std::string rank_list(std::span<const RankState> ranks);

}  // namespace lockstep
