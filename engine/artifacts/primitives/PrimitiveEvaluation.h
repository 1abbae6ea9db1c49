// Primitive operations on tensors of libtorch.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/artifacts/primitives/PrimitiveGraph.h"

namespace lockstep {

/// What one operation returns. `integer_values`: of what `integers_of` lists, in its order.
std::vector<at::Tensor> evaluate(const primitive::Operation& operation, const std::vector<at::Tensor>& inputs,
                                 const Ints& integer_values);

}  // namespace lockstep
