// A few samples of a channel, to try a program on before anything starts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/data/ProgramSamples.h"
#include "engine/train/Prefetcher.h"
#include "engine/train/RankContext.h"

namespace lockstep {

/// The first `count` samples on the rank's device, as a step gets them.
Batch first_batch(const ProgramSamples& samples, std::int64_t count, const RankContext& context);

/// The inputs of the first `count` samples, or of all when there are fewer, on the host, in the program's order.
std::vector<at::Tensor> first_inputs(const ProgramSamples& samples, std::int64_t count);

}  // namespace lockstep
