#include "engine/program/Passes.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "common/Error.h"
#include "engine/program/Aliases.h"
#include "engine/program/Fusions.h"
#include "engine/program/GraphUses.h"

namespace lockstep {

namespace {

// Whether a node from `first` on writes into anything but the program's state.
bool changes_activations(const Graph& graph, std::size_t first) {
  std::set<std::string> state;
  for (const GraphInput& input : graph.inputs) {
    if (input.kind != InputKind::kUserInput) state.insert(input.value);
  }
  return std::any_of(graph.nodes.begin() + static_cast<std::ptrdiff_t>(first), graph.nodes.end(),
                     [&](const Node& node) { return node.in_place() && !state.contains(node.tensor("self")); });
}

// A dilated window can lie in padding alone: its largest element is then -∞, and behind ReLU it is 0.
bool is_dilated(const Node& pool) {
  const Argument* given = pool.find("dilation");
  if (!given) return false;
  const auto* list = std::get_if<std::vector<std::int64_t>>(given);
  return !list || std::ranges::any_of(*list, [](std::int64_t dilation) { return dilation != 1; });
}

}  // namespace

Program apply_passes(const Program& program, const std::vector<Pass>& passes, std::vector<std::string>& changes) {
  const auto apply = [](Pass pass, const Program& from, std::vector<std::string>& made) {
    switch (pass) {
      case Pass::kChannelsLast:
        return with_channels_last(from, made);
      case Pass::kReluAfterMaxPool:
        return from.with_graph(relu_after_max_pool(from.graph(), made));
      case Pass::kFuseMaxPoolRelu:
        return from.with_graph(fuse_max_pool_relu(from.graph(), made));
      case Pass::kFuseBiasGelu:
        return from.with_graph(fuse_bias_gelu(from.graph(), made));
      case Pass::kFuseLayerNorm:
        return from.with_graph(fuse_layer_norm(from.graph(), made));
      case Pass::kFuseEmbedding:
        return from.with_graph(fuse_embedding(from.graph(), made));
      case Pass::kOnednnLinear:
        return multiplies_faster_by_onednn() ? from.with_graph(use_onednn_linear(from.graph(), made)) : from;
      case Pass::kFuseBatchNorm:
        return from.with_graph(fuse_batch_norm(from.graph(), made));
      case Pass::kFuseAttention:
        return from.with_graph(fuse_attention(from.graph(), made));
    }
    throw InternalError("unknown pass");
  };
  const std::set<Pass> ordered(passes.begin(), passes.end());
  Program result = program;
  for (const Pass pass : ordered) {
    std::vector<std::string> made;
    result = apply(pass, result, made);
    for (const std::string& change : made) changes.push_back(to_string(pass) + ": " + change);
  }
  return result;
}

Graph relu_after_max_pool(Graph graph, std::vector<std::string>& changes) {
  const GraphUses uses(graph);
  for (std::size_t i = 0; i + 1 < graph.nodes.size(); ++i) {
    Node& relu = graph.nodes[i];
    Node& pool = graph.nodes[i + 1];  // right behind it: nothing between the two may change what either reads
    if (relu.target != "torch.ops.aten.relu.default" || pool.target != "torch.ops.aten.max_pool2d.default") continue;
    const std::string pooled = relu.output();  // between the two nodes; it will have the pool's sizes
    const std::string result = pool.output();
    if (pooled.empty() || result.empty() || pool.tensor("self") != pooled || is_dilated(pool)) continue;
    // Autograd keeps ReLU's output: what comes later must not write into it.
    if (uses.readers(pooled) != 1 || changes_activations(graph, i + 2) || !graph.find_sizes(result)) continue;
    graph.describe_as(pooled, result);
    pool.set("self", TensorName{relu.tensor("self")});
    pool.outputs = {TensorName{pooled}};
    relu.set("self", TensorName{pooled});
    relu.outputs = {TensorName{result}};
    std::swap(relu, pool);
    const Node& moved = graph.nodes[i + 1];
    changes.push_back(moved.name + " moves behind " + graph.nodes[i].name + at_source_line(moved));
  }
  return graph;
}

Program with_channels_last(const Program& program, std::vector<std::string>& changes) {
  if (std::ranges::any_of(aliased_writes(program.graph()), &AliasedWrite::depends_on_strides)) return program;
  std::set<std::string> weights;  // by value
  for (const Node& node : program.graph().nodes) {
    if (node.target == "torch.ops.aten.conv2d.default") weights.insert(node.tensor("weight"));
  }
  std::map<const void*, at::Tensor> converted;  // by the tensor it is made of: tied kernels stay tied
  for (const GraphInput& input : program.graph().inputs) {
    if (!weights.contains(input.value) || input.kind == InputKind::kUserInput) continue;
    const at::Tensor& kernel = program.tensor(input);
    // clone, not contiguous: with one channel that would return the tensor with its strides as they are.
    converted.try_emplace(
        kernel.unsafeGetTensorImpl(),
        kernel.detach().clone(at::MemoryFormat::ChannelsLast).set_requires_grad(kernel.requires_grad()));
  }
  std::map<std::string, at::Tensor> state;
  for (const StateTensor& entry : program.state()) {
    const auto found = converted.find(entry.tensor.unsafeGetTensorImpl());
    state[entry.name] = found == converted.end() ? entry.tensor : found->second;
    if (found != converted.end()) changes.push_back(entry.name + " is stored channels last");
  }
  Graph graph = slice_before_strided_pointwise(program.graph(), changes);
  for (Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.view.default") continue;
    node.target = "torch.ops.aten.reshape.default";
    changes.push_back(describe_change(node, {node.name}));
    for (NamedArgument& input : node.inputs) {
      if (input.name == "size") input.name = "shape";
    }
  }
  return Program(program.name(), std::move(graph), std::move(state));
}

Program apply_passes(const Program& program, const std::vector<Pass>& passes) {
  std::vector<std::string> changes;
  return apply_passes(program, passes, changes);
}

}  // namespace lockstep
