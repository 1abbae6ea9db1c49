// The facts of a run as the rows and numbers that the console and metrics.jsonl both show.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/report/Events.h"
#include "engine/report/Metrics.h"

namespace lockstep {

/// What class `number` is called: by its number where it has no name.
std::string class_name(const std::vector<std::string>& labels, std::size_t number);
/// What the run is.
Rows rows_of(const RunStarted& event);
/// What came of it.
Rows rows_of(const RunEnded& event);
Metrics metrics_of(const Evaluated& event);
Metrics metrics_of(const RunEnded& event);

}  // namespace lockstep
