// A micro-batch's memory as tensors, without a copy.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/data/Loader.h"
#include "engine/data/ProgramSamples.h"

namespace lockstep {

/// The tensors [size, …] of the samples' columns, in their order; none for a micro-batch without samples. They keep the
/// micro-batch's memory alive.
std::vector<at::Tensor> column_tensors(const MicroBatch& batch, const ProgramSamples& samples);

}  // namespace lockstep
