// Statistics that each rank gathers from its own micro-batches, brought together.
#pragma once

#include <cstdint>

#include "engine/collectives/Communicator.h"
#include "engine/program/Program.h"

namespace lockstep {

/// Replaces every running statistic of the program by the ranks' average, weighted by the samples each has trained on
/// since the last call (`samples`; no rank changes anything when they are all 0). Integer buffers such as
/// num_batches_tracked take the largest. A collective, over `communicator` for the memory of the program's device and
/// `host` for the host's.
void average_running_statistics(Program& program, std::int64_t samples, Communicator& communicator, Communicator& host);

}  // namespace lockstep
