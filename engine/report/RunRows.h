// The facts of a run as the rows and numbers that the console and metrics.jsonl both show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/report/Events.h"
#include "engine/report/Metrics.h"

namespace lockstep {

/// What class `number` is called: by its number where it has no name.
std::string class_name(const std::vector<std::string>& labels, std::size_t number);
/// Memory that a rank holds until training ends.
struct MemoryRow {
  std::string what{};
  std::int64_t bytes = 0;
  int shares = 1;      ///< the rank holds one of so many
  bool later = false;  ///< from the first evaluation on

  std::string share() const;  ///< " (1 of 4 shares)", or "" when the rank holds all
};

/// All but the copy for checkpoints, which need not be in the device's memory.
std::vector<MemoryRow> rows_of(const MemoryUse& use);
/// What the run is.
Rows rows_of(const RunStarted& event);
/// What came of it.
Rows rows_of(const RunEnded& event);
Metrics metrics_of(const Evaluated& event);
Metrics metrics_of(const RunEnded& event);

}  // namespace lockstep
