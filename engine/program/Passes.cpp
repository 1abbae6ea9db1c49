#include "engine/program/Passes.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace lockstep {

namespace {

// Nodes that read each value; outputs of the graph count as one more.
std::map<std::string, int> count_uses(const Graph& graph) {
  std::map<std::string, int> uses;
  for (const Node& node : graph.nodes) {
    for (const NamedArgument& input : node.inputs) {
      if (const auto* one = std::get_if<TensorName>(&input.value)) ++uses[one->name];
      if (const auto* many = std::get_if<TensorNames>(&input.value)) {
        for (const auto& name : many->names) ++uses[name.value_or("")];
      }
    }
  }
  for (const std::string& output : graph.outputs) ++uses[output];
  return uses;
}

const TensorName* single_output(const Node& node) {
  return node.outputs.size() == 1 ? std::get_if<TensorName>(&node.outputs[0]) : nullptr;
}

// Whether a node from `first` on writes into anything but the program's state.
bool changes_activations(const Graph& graph, std::size_t first) {
  std::set<std::string> state;
  for (const GraphInput& input : graph.inputs) {
    if (input.kind != InputKind::kUserInput) state.insert(input.value);
  }
  return std::any_of(graph.nodes.begin() + static_cast<std::ptrdiff_t>(first), graph.nodes.end(),
                     [&](const Node& node) { return node.in_place() && !state.contains(node.tensor("self")); });
}

}  // namespace

Graph relu_after_max_pool(Graph graph) {
  const std::map<std::string, int> uses = count_uses(graph);
  nlohmann::json& values = graph.document.at("graph_module").at("graph").at("tensor_values");
  for (std::size_t i = 0; i + 1 < graph.nodes.size(); ++i) {
    Node& relu = graph.nodes[i];
    Node& pool = graph.nodes[i + 1];  // right behind it: nothing between the two may change what either reads
    const TensorName* activated = single_output(relu);
    if (relu.target != "torch.ops.aten.relu.default" || pool.target != "torch.ops.aten.max_pool2d.default") continue;
    if (!activated || !single_output(pool) || pool.tensor("self") != activated->name) continue;
    // Autograd keeps ReLU's output: what comes later must not write into it.
    if (uses.at(activated->name) != 1 || changes_activations(graph, i + 2)) continue;
    const std::string pooled = activated->name;  // between the two nodes; it now has the pool's sizes
    const std::string result = single_output(pool)->name;
    values[pooled] = values.at(result);
    pool.set("self", TensorName{relu.tensor("self")});
    pool.outputs = {TensorName{pooled}};
    relu.set("self", TensorName{pooled});
    relu.outputs = {TensorName{result}};
    std::swap(relu, pool);
  }
  return graph;
}

Program with_channels_last(const Program& program) {
  std::set<std::string> kernels;  // by value
  for (const Node& node : program.graph().nodes) {
    if (node.target == "torch.ops.aten.conv2d.default") kernels.insert(node.tensor("weight"));
  }
  std::map<std::string, at::Tensor> state;
  std::map<const void*, at::Tensor> converted;  // tied kernels stay tied
  for (const StateTensor& entry : program.state()) state[entry.name] = entry.tensor;
  for (const GraphInput& input : program.graph().inputs) {
    if (!kernels.contains(input.value) || input.kind == InputKind::kUserInput) continue;
    const at::Tensor& kernel = program.tensor(input);
    const auto [found, is_new] = converted.try_emplace(kernel.unsafeGetTensorImpl());
    if (is_new) {
      // clone, not contiguous: with one channel that would return the tensor with its strides as they are.
      found->second = kernel.detach().clone(at::MemoryFormat::ChannelsLast).set_requires_grad(kernel.requires_grad());
    }
  }
  for (auto& [name, tensor] : state) {
    if (const auto found = converted.find(tensor.unsafeGetTensorImpl()); found != converted.end())
      tensor = found->second;
  }
  return Program(program.name(), program.graph(), std::move(state));
}

}  // namespace lockstep
