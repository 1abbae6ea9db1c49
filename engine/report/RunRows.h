// The facts of a run as the rows and numbers that the console and metrics.jsonl both show.
#pragma once

#include "engine/report/Events.h"
#include "engine/report/Metrics.h"

namespace lockstep {

/// What the run is.
Rows rows_of(const RunStarted& event);
/// What came of it.
Rows rows_of(const RunEnded& event);
Metrics metrics_of(const Evaluated& event);
Metrics metrics_of(const RunEnded& event);

}  // namespace lockstep
