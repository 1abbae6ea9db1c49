// What cards can compute at most.
#pragma once

#include <optional>
#include <string_view>

#include "job/Hyperparameters.h"

namespace lockstep {

/// Floating-point operations a second of dense matrix products, two per multiply-add, of a card by the name that CUDA
/// gives it; nothing for a card or type that is not in the table. `tf32`: float32 products take TensorFloat-32.
///
/// Source: NVIDIA's data sheets of A100, H100, H200, L4, L40S, T4 and V100; tensor-core figures without sparsity.
std::optional<double> peak_flops(std::string_view card, Precision precision, bool tf32);

}  // namespace lockstep
