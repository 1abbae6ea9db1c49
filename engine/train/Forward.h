// Running a program in the job's precision.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "engine/program/Executor.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Calls `work`, which runs a program. With bf16 and fp16 PyTorch's autocast is on for this thread meanwhile: its lists
/// say which operators compute in the lower precision and which in float32, parameters stay float32, and backward
/// follows the types that forward used. Casts of parameters are kept for this run only: parameters change.
void with_precision(c10::DeviceType device, Precision precision, const std::function<void()>& work);

/// The program's outputs for `inputs`, in its order: at least one.
std::vector<at::Tensor> forward(Executor& executor, const std::vector<at::Tensor>& inputs, Precision precision);

}  // namespace lockstep
