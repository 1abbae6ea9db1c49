// How much arithmetic a program is.
#pragma once

#include <cstdint>

#include "engine/program/Graph.h"

namespace lockstep {

/// Floating-point operations of one forward pass over `batch_size` samples, two per multiply-add: of products of
/// matrices and vectors (linear, matmul, addmm, einsum and the like), convolutions, attention and recurrent layers, in
/// which most of a program's time goes. All else is not counted, nor is the half that a causal mask saves;
/// torch.utils.flop_counter counts in the same way.
///
/// From the sizes that the graph records for its example inputs, in proportion to the batch. Throws InputError for a
/// graph without inputs or sizes.
double forward_flops(const Graph& graph, std::int64_t batch_size);

/// Of forward and backward: three times as many, as backward multiplies once for the gradient of the input and once for
/// that of the weight.
double training_flops(const Graph& graph, std::int64_t batch_size);

}  // namespace lockstep
