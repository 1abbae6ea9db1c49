// Lockstep's own operators, beside PyTorch's in its dispatcher.
#pragma once

#include <torch/library.h>

namespace lockstep {

/// Defines all of them under `lockstep::`, with their gradients, which have none of their own: no program asks for one;
/// may be called again. A program calls them as `torch.ops.lockstep.bias_gelu.default` once register_operators has run.
/// Explicit, not by a static initializer: those of an archive are dropped when nothing refers to their object file.
void register_operators();

// One per operator; the schema and its meaning are said where it is defined.
void register_attention(torch::Library& library);
void register_batch_norm(torch::Library& library);
void register_bias_gelu(torch::Library& library);
void register_embedding(torch::Library& library);
void register_layer_norm(torch::Library& library);
void register_linear(torch::Library& library);
void register_max_pool_relu(torch::Library& library);
void register_strided_pointwise_conv2d(torch::Library& library);

}  // namespace lockstep
