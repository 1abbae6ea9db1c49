// The layers that built-in programs are made of. Each adds to a graph what torch.nn's layer of that name computes, with
// its parameters under the layer's name in PyTorch's state dict, and returns the value. Parameters begin as torch.nn's
// do where no other initial values are given. A layer checks the sizes that it is given: InputError names the layer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/program/GraphBuilder.h"

namespace lockstep::layers {

using Value = GraphBuilder::Value;
using Sizes = GraphBuilder::Sizes;

struct Conv2d {
  std::int64_t channels = 1;  ///< that it returns
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
  bool bias = true;
  Initial weights{};  ///< unless torch.nn's
  Initial biases{};
};
/// x: [channels, height, width].
Value conv2d(GraphBuilder& graph, const Value& x, const std::string& layer, const Conv2d& options);
/// x: [channels, height, width]. Momentum 0.1, epsilon 1e-5.
Value batch_norm(GraphBuilder& graph, const Value& x, const std::string& layer);
/// The square windows lie within the padded image.
Value max_pool2d(GraphBuilder& graph, const Value& x, std::int64_t kernel, std::int64_t stride,
                 std::int64_t padding = 0);
/// [channels, height, width] → [channels, 1, 1].
Value average_pool2d(GraphBuilder& graph, const Value& x);

struct Linear {
  std::int64_t features = 1;  ///< that it returns
  bool transposed = false;    ///< its weight is [in, features], as GPT-2's Conv1D has it
  Initial weights{};          ///< unless torch.nn's
  Initial biases{};
};
/// x: [..., features].
Value linear(GraphBuilder& graph, const Value& x, const std::string& layer, const Linear& options);
/// The same with parameters that are there. `bias`: null for none.
Value linear(GraphBuilder& graph, const Value& x, const Value& weight, const Value* bias);
/// Over the last dimension.
Value layer_norm(GraphBuilder& graph, const Value& x, const std::string& layer, double epsilon);
/// Rows of a table: [...] integers → [..., width]. `padding_row`: one that is not trained.
Value embedding(GraphBuilder& graph, const Value& indices, const Value& table, std::int64_t padding_row = -1);

Value relu(GraphBuilder& graph, const Value& x);
Value tanh(GraphBuilder& graph, const Value& x);
/// `approximate`: "none" or "tanh".
Value gelu(GraphBuilder& graph, const Value& x, const std::string& approximate);
/// Nothing where the probability is 0.
Value dropout(GraphBuilder& graph, const Value& x, double probability);
/// Either may be a parameter of the last dimensions of the other, which is batched.
Value add(GraphBuilder& graph, const Value& a, const Value& b);
/// Where integers are not 0: bool.
Value is_not_zero(GraphBuilder& graph, const Value& x);

// Dimensions are those of a sample, or of a parameter, from 0.
Value flatten(GraphBuilder& graph, const Value& x);  ///< all dimensions of a sample
Value reshape(GraphBuilder& graph, const Value& x, const Sizes& sizes);
Value permute(GraphBuilder& graph, const Value& x, const std::vector<std::int64_t>& order);
Value unsqueeze(GraphBuilder& graph, const Value& x, std::int64_t dimension, at::ScalarType type = at::kFloat);
Value select(GraphBuilder& graph, const Value& x, std::int64_t dimension, std::int64_t index);
/// The first `count` of dimension 0.
Value first(GraphBuilder& graph, const Value& x, std::int64_t count);
Value cat(GraphBuilder& graph, const std::vector<Value>& parts, std::int64_t dimension);
/// A parameter [1, ...] for every sample: [...].
Value expand_to_batch(GraphBuilder& graph, const Value& parameter);

struct Attention {
  const Value* mask = nullptr;  ///< bool [1, 1, keys]: which keys are seen; null: all
  double dropout = 0;
  bool causal = false;
};
/// torch.nn.functional.scaled_dot_product_attention of [heads, length, width of a head].
Value attention(GraphBuilder& graph, const Value& query, const Value& key, const Value& value,
                const Attention& options);

}  // namespace lockstep::layers
