#include "engine/program/Fusions.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace lockstep {

namespace {

// Which node makes each value, and how many readers it has; outputs of the graph count as one more.
struct Uses {
  explicit Uses(const Graph& graph) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      for (const std::string& name : graph.nodes[i].tensors()) ++readers[name];
      if (const std::string output = graph.nodes[i].output(); !output.empty()) maker[output] = i;
    }
    for (const std::string& output : graph.outputs) ++readers[output];
  }
  std::map<std::string, std::size_t> maker;
  std::map<std::string, int> readers;

  /// The node of this operator that makes `value`, or nullptr.
  Node* made_by(Graph& graph, const std::string& value, const std::string& target) const {
    const auto found = maker.find(value);
    if (found == maker.end() || graph.nodes[found->second].target != target) return nullptr;
    return &graph.nodes[found->second];
  }
};

std::set<std::string> state_values(const Graph& graph) {
  std::set<std::string> values;
  for (const GraphInput& input : graph.inputs) {
    if (input.kind != InputKind::kUserInput) values.insert(input.value);
  }
  return values;
}

// Whether a node between the two writes into an activation: what is read at the one may differ at the other.
bool writes_between(const Graph& graph, const Node* first, const Node* second) {
  const std::set<std::string> state = state_values(graph);
  return std::any_of(first + 1, second,
                     [&](const Node& node) { return node.in_place() && !state.contains(node.tensor("self")); });
}

Argument argument_or(const Node& node, const char* name, Argument otherwise) {
  const Argument* found = node.find(name);
  return found == nullptr ? std::move(otherwise) : *found;
}

// An argument that is one integer or two, as two; nothing when it is something else.
std::optional<std::vector<std::int64_t>> pair(const Node& node, const char* name, std::vector<std::int64_t> otherwise) {
  const Argument* found = node.find(name);
  if (found == nullptr) return otherwise;
  if (const auto* one = std::get_if<std::int64_t>(found)) return std::vector{*one, *one};
  const auto* list = std::get_if<std::vector<std::int64_t>>(found);
  if (list == nullptr) return std::nullopt;
  if (list->empty()) return otherwise;
  return list->size() == 1 ? std::vector{list->front(), list->front()} : *list;
}

bool flag(const Node& node, const char* name) {
  const Argument* found = node.find(name);
  return found != nullptr && std::get_if<bool>(found) != nullptr && std::get<bool>(*found);
}

}  // namespace

std::string describe_change(const Node& node, const std::vector<std::string>& replaced) {
  std::string text;
  for (const std::string& name : replaced) text += (text.empty() ? "" : ", ") + name;
  const std::string line = node.source_line();
  return text + " → " + node.target.substr(std::string("torch.ops.").size()) + (line.empty() ? "" : " (" + line + ")");
}

Graph fuse_bias_gelu(Graph graph, std::vector<std::string>& changes) {
  const Uses uses(graph);
  for (Node& gelu : graph.nodes) {
    if (gelu.target != "torch.ops.aten.gelu.default") continue;
    const std::string x = gelu.tensor("self");
    Node* linear = uses.made_by(graph, x, "torch.ops.aten.linear.default");
    if (linear == nullptr || linear->tensor("bias").empty() || uses.readers.at(x) != 1) continue;
    gelu.target = "torch.ops.lockstep.bias_gelu.default";
    gelu.inputs = {{"x", TensorName{x}},
                   {"bias", TensorName{linear->tensor("bias")}},
                   {"approximate", argument_or(gelu, "approximate", std::string("none")), true}};
    linear->set("bias", NoneArgument{});
    changes.push_back(describe_change(gelu, {linear->name, gelu.name}));
  }
  return graph;
}

Graph fuse_layer_norm(Graph graph, std::vector<std::string>& changes) {
  const Uses uses(graph);
  const std::set<std::string> state = state_values(graph);  // there before any node runs
  std::set<std::string> gone;
  for (Node& norm : graph.nodes) {
    if (norm.target != "torch.ops.aten.layer_norm.default") continue;
    const Argument shape = argument_or(norm, "normalized_shape", NoneArgument{});
    const auto* known = std::get_if<std::vector<std::int64_t>>(&shape);
    if (known == nullptr || known->size() != 1) continue;
    const std::string x = norm.tensor("input");
    const NamedArgument weight = {"weight", argument_or(norm, "weight", NoneArgument{})};
    const NamedArgument bias = {"bias", argument_or(norm, "bias", NoneArgument{})};
    const NamedArgument eps = {"eps", argument_or(norm, "eps", 1e-5), true};
    const auto early = [&](const std::string& name) { return name.empty() || state.contains(name); };
    Node* sum = uses.made_by(graph, x, "torch.ops.aten.add.Tensor");
    if (sum != nullptr && !gone.contains(sum->name) && sum->find("alpha") == nullptr && !sum->tensor("self").empty() &&
        !sum->tensor("other").empty() && early(norm.tensor("weight")) && early(norm.tensor("bias")) &&
        graph.sizes(sum->tensor("self")) == graph.sizes(x) && graph.sizes(sum->tensor("other")) == graph.sizes(x) &&
        !writes_between(graph, sum, &norm)) {
      const std::vector<std::string> replaced = {sum->name, norm.name};
      sum->target = "torch.ops.lockstep.add_layer_norm.default";
      sum->inputs = {
          {"x", TensorName{sum->tensor("self")}}, {"residual", TensorName{sum->tensor("other")}}, weight, bias, eps};
      sum->outputs = {TensorName{x}, TensorName{norm.output()}};
      gone.insert(norm.name);
      changes.push_back(describe_change(*sum, replaced));
    } else {
      norm.target = "torch.ops.lockstep.layer_norm.default";
      norm.inputs = {{"x", TensorName{x}}, weight, bias, eps};
      changes.push_back(describe_change(norm, {norm.name}));
    }
  }
  std::erase_if(graph.nodes, [&](const Node& node) { return gone.contains(node.name); });
  return graph;
}

Graph fuse_max_pool_relu(Graph graph, std::vector<std::string>& changes) {
  constexpr const char* kRelu = "torch.ops.aten.relu.default";
  constexpr std::int64_t kLargestWindow = 15;
  const Uses uses(graph);
  std::set<std::string> gone;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& pool = graph.nodes[i];
    if (pool.target != "torch.ops.aten.max_pool2d.default") continue;
    const auto kernel = pair(pool, "kernel_size", {});
    const auto stride = kernel ? pair(pool, "stride", *kernel) : std::nullopt;
    const auto padding = pair(pool, "padding", {0, 0});
    const auto dilation = pair(pool, "dilation", {1, 1});
    if (!kernel || !stride || !padding || kernel->size() != 2 || dilation != std::vector<std::int64_t>{1, 1} ||
        std::ranges::max(*kernel) > kLargestWindow || graph.sizes(pool.tensor("self")).size() != 4) {
      continue;
    }
    std::string x = pool.tensor("self");
    std::string y = pool.output();
    std::vector<std::string> replaced = {pool.name};
    Node* before = uses.made_by(graph, x, kRelu);
    Node* after = i + 1 < graph.nodes.size() ? &graph.nodes[i + 1] : nullptr;
    bool relu = false;
    if (before != nullptr && uses.readers.at(x) == 1 && !gone.contains(before->name) &&
        !writes_between(graph, before, &pool)) {
      relu = true;
      x = before->tensor("self");
      gone.insert(before->name);
      replaced.insert(replaced.begin(), before->name);
    } else if (after != nullptr && after->target == kRelu && after->tensor("self") == y && uses.readers.at(y) == 1) {
      relu = true;
      y = after->output();
      gone.insert(after->name);
      replaced.push_back(after->name);
    }
    pool.target = "torch.ops.lockstep.max_pool2d_relu.default";
    pool.inputs = {{"x", TensorName{x}},
                   {"kernel_size", *kernel},
                   {"stride", *stride},
                   {"padding", *padding},
                   {"ceil_mode", flag(pool, "ceil_mode"), true},
                   {"relu", relu, true}};
    pool.outputs = {TensorName{y}};
    changes.push_back(describe_change(pool, replaced));
  }
  std::erase_if(graph.nodes, [&](const Node& node) { return gone.contains(node.name); });
  return graph;
}

Graph fuse_embedding(Graph graph, std::vector<std::string>& changes) {
  for (Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.embedding.default") continue;
    if (flag(node, "scale_grad_by_freq") || flag(node, "sparse")) continue;
    node.target = "torch.ops.lockstep.embedding.default";
    node.inputs = {{"weight", TensorName{node.tensor("weight")}},
                   {"tokens", TensorName{node.tensor("indices")}},
                   {"padding_idx", argument_or(node, "padding_idx", std::int64_t{-1}), true}};
    changes.push_back(describe_change(node, {node.name}));
  }
  return graph;
}

}  // namespace lockstep
