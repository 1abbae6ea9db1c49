// A micro-batch's memory as tensors, without a copy.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/data/Loader.h"

namespace lockstep {

/// [size, …input shape]: int64 for tokens, else float64 with precision fp64 and float32 without. Keeps the
/// micro-batch's memory alive.
at::Tensor input_tensor(const MicroBatch& batch, const SampleShape& shape, Precision precision);
/// [size, …target shape]: int64 for class labels, else as real inputs.
at::Tensor target_tensor(const MicroBatch& batch, const SampleShape& shape, Precision precision);

}  // namespace lockstep
