// Running a program in the job's precision.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/program/Executor.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The program's outputs for `inputs`, in its order: at least one. With bf16 and fp16 PyTorch's autocast is on for
/// this thread while the program runs: its lists say which operators compute in the lower precision and which in
/// float32, parameters stay float32, and backward follows the types that forward used. Casts of parameters are kept for
/// this run only: parameters change.
std::vector<at::Tensor> forward(Executor& executor, const std::vector<at::Tensor>& inputs, Precision precision);

}  // namespace lockstep
