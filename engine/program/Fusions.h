// Passes that put Lockstep's own operators in the place of several of PyTorch's. What a program computes stays the same
// to rounding, and so do the names of its parameters; artifacts hold the user's own graph.
//
// Each adds one line to `changes` for each place it changed, for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// linear with bias → gelu becomes linear without → lockstep::bias_gelu, where nothing else reads linear's output:
/// one pass over the activations instead of two forward, and of three backward. So does addmm → view → gelu, as
/// transformers' Conv1D has it; and a tanh-GELU that is written out in sums and products, as its GPT-2 has it, becomes
/// gelu before.
Graph fuse_bias_gelu(Graph graph, std::vector<std::string>& changes);

/// layer_norm over the last dimension becomes lockstep::layer_norm, and together with the addition right before it (of
/// two tensors of the same sizes: a residual) lockstep::add_layer_norm, which returns the sum too.
Graph fuse_layer_norm(Graph graph, std::vector<std::string>& changes);

/// max_pool2d, with the ReLU right before or right behind it if there is one that nothing else reads, becomes
/// lockstep::max_pool2d_relu. Exact, also in the gradients.
Graph fuse_max_pool_relu(Graph graph, std::vector<std::string>& changes);

/// batch_norm of [N, C] and [N, C, H, W], with the residual added behind it and the ReLU behind that, each if nothing
/// else reads what is in between, becomes lockstep::batch_norm: on CPUs and channels last one pass over the activations
/// in place of three, and sums that lose no digits over many pixels.
Graph fuse_batch_norm(Graph graph, std::vector<std::string>& changes);

/// scaled_dot_product_attention with dropout becomes lockstep::attention, which keeps no scores for backward on CPUs;
/// it drops others than PyTorch does, as often.
Graph fuse_attention(Graph graph, std::vector<std::string>& changes);

/// embedding becomes lockstep::embedding, whose gradient has one order of additions.
Graph fuse_embedding(Graph graph, std::vector<std::string>& changes);

/// Rows and columns from which on oneDNN multiplies faster than MKL where it does (multiplies_faster_by_onednn).
constexpr std::int64_t kLargeProduct = 256;
/// Whether oneDNN 3.10 multiplies large matrices of float32 faster than MKL 2024.2 on this processor, as it does on
/// AMD's with AVX-512.
bool multiplies_faster_by_onednn();
/// linear of a large weight becomes lockstep::linear, which leaves large products to oneDNN.
Graph use_onednn_linear(Graph graph, std::vector<std::string>& changes);

/// conv2d with a stride and a kernel of 1×1 over fewer than 16 channels becomes lockstep::strided_pointwise_conv2d. On
/// processors with AVX2 and without AVX-512, oneDNN 3.10 (PyTorch 2.11) writes beyond its buffer in the gradient of
/// such a kernel, where images are channels last and their height is a multiple of the stride.
Graph slice_before_strided_pointwise(Graph graph, std::vector<std::string>& changes);

}  // namespace lockstep
