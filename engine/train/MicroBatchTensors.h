// A micro-batch's memory as tensors, without a copy.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/data/Loader.h"

namespace lockstep {

/// [size, …input shape], float32 or float64. Keeps the micro-batch's memory alive.
at::Tensor input_tensor(const MicroBatch& batch, const SampleShape& shape, Precision precision);
/// [size] int64 for class labels, else [size, …target shape] in the input's type.
at::Tensor target_tensor(const MicroBatch& batch, const SampleShape& shape, Precision precision);

}  // namespace lockstep
