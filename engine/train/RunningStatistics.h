// Statistics that each rank gathers from its own micro-batches, brought together.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/artifacts/Safetensors.h"
#include "engine/collectives/Communicator.h"
#include "engine/program/Program.h"

namespace lockstep {

/// Replaces every running statistic of the program by the ranks' average, weighted by the samples each has trained on
/// since the last call (`samples`; no rank changes anything when they are all 0). Integer buffers such as
/// num_batches_tracked take the largest. A collective, over `communicator` for the memory of the program's device and
/// `host` for the host's.
void average_running_statistics(Program& program, std::int64_t samples, Communicator& communicator, Communicator& host);

/// What average_running_statistics changes.
std::vector<StateTensor> statistics_of_rank(const Program& program);

/// The same of all ranks: each tensor with one row for each rank, on the host. A collective.
NamedTensors gather_running_statistics(const Program& program, Communicator& host);

/// From rows of all ranks what average_running_statistics would leave; `samples` by rank.
NamedTensors averaged(const NamedTensors& rows, const std::vector<std::int64_t>& samples);

}  // namespace lockstep
