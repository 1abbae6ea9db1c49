// What people read of a job that stands still.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "watch/RankState.h"
#include "watch/Standstill.h"

namespace lockstep {

/// What a rank's own host knows of it.
struct RankDetails {
  int rank = 0;
  std::string stacks{};       ///< native, of all its threads
  std::string collectives{};  ///< its last ones, a line each
};

/// Reads a page, and has the rank's threads say where they are (stacks_of).
RankDetails details_of(RankPage& page);

/// The ranks whose details a report shows: those that are missing, up to four, and one that waits for them.
std::vector<int> ranks_to_describe(const Standstill& standstill, std::span<const RankState> ranks);

/// The differences: a row for each rank that is missing, and one for all others that are in one place.
std::string table_of(const Standstill& standstill, std::span<const RankState> ranks);

/// Everything, for a file: the line, the table, stacks, collectives.
std::string report_of(const Standstill& standstill, std::span<const RankState> ranks,
                      std::span<const RankDetails> details);

}  // namespace lockstep
