// A few samples of a data set, to try a program on before anything starts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "engine/data/Dataset.h"
#include "engine/train/Prefetcher.h"
#include "engine/train/RankContext.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The data set's first `count` samples on the rank's device, as a step gets them.
DeviceBatch first_batch(const Dataset& dataset, std::int64_t count, Precision precision, const RankContext& context);

/// The inputs of the first `count` samples, or of all when there are fewer, on the host.
at::Tensor first_inputs(const Dataset& dataset, std::int64_t count, Precision precision);

}  // namespace lockstep
