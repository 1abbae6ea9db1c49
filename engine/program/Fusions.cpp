#include "engine/program/Fusions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <set>
#include <utility>

#include "engine/program/GraphUses.h"
#include "kernels/max_pool_relu/MaxPoolRelu.h"

namespace lockstep {

namespace {

using Pair = std::vector<std::int64_t>;

Argument argument_or(const Node& node, const char* name, const Argument& otherwise) {
  const Argument* found = node.find(name);
  return found == nullptr ? otherwise : *found;
}

// An argument that is one integer or two, as two; nothing when it is something else.
std::optional<Pair> pair(const Node& node, const char* name, const Pair& otherwise) {
  const Argument* found = node.find(name);
  if (found == nullptr) return otherwise;
  if (const auto* one = std::get_if<std::int64_t>(found)) return Pair{*one, *one};
  const auto* list = std::get_if<Pair>(found);
  if (list == nullptr || list->size() > 2) return std::nullopt;
  if (list->empty()) return otherwise;
  return Pair{list->front(), list->back()};
}

bool flag(const Node& node, const char* name) {
  const Argument* found = node.find(name);
  return found != nullptr && std::get_if<bool>(found) != nullptr && std::get<bool>(*found);
}

// Whether an argument is this number; those that are written with ten digits count.
bool is_number(const Node& node, const char* name, double number) {
  const Argument* found = node.find(name);
  if (found == nullptr) return false;
  if (const auto* integer = std::get_if<std::int64_t>(found)) return static_cast<double>(*integer) == number;
  const auto* real = std::get_if<double>(found);
  return real != nullptr && std::abs(*real - number) < 1e-10;
}

// Whether the value lies along the last dimension of x and nowhere else; so does a parameter that is not there.
bool is_along_last(const Graph& graph, const std::string& parameter, const std::string& x) {
  if (parameter.empty()) return true;
  const auto sizes = graph.find_sizes(parameter);
  const auto outer = graph.find_sizes(x);
  return sizes && outer && sizes->size() == 1 && !outer->empty() && sizes->front() == outer->back();
}

void erase(Graph& graph, const std::set<const Node*>& gone) {
  std::vector<Node> kept;
  for (Node& node : graph.nodes) {
    if (!gone.contains(&node)) kept.push_back(std::move(node));
  }
  graph.nodes = std::move(kept);
}

// What is there before any node runs.
std::set<std::string> state_of(const Graph& graph) {
  std::set<std::string> state;
  for (const GraphInput& input : graph.inputs) {
    if (input.kind != InputKind::kUserInput) state.insert(input.value);
  }
  return state;
}

constexpr const char* kRelu = "torch.ops.aten.relu.default";
constexpr const char* kReluInPlace = "torch.ops.aten.relu_.default";
constexpr const char* kAdd = "torch.ops.aten.add.Tensor";
constexpr const char* kAddInPlace = "torch.ops.aten.add_.Tensor";
constexpr const char* kMul = "torch.ops.aten.mul.Tensor";
constexpr const char* kGelu = "torch.ops.aten.gelu.default";
constexpr const char* kBatchNorm = "torch.ops.aten.batch_norm.default";

// Whether it normalizes samples of channels, or images, by numbers that are known.
bool is_fusible(const Graph& graph, const Node& norm) {
  const auto sizes = graph.find_sizes(norm.tensor("input"));
  const auto holds_number = [&](const char* name) {
    const Argument* found = norm.find(name);
    return found != nullptr && std::holds_alternative<double>(*found);
  };
  const Argument* training = norm.find("training");
  return sizes && (sizes->size() == 2 || sizes->size() == 4) && holds_number("momentum") && holds_number("eps") &&
         training != nullptr && std::holds_alternative<bool>(*training) && !norm.output().empty();
}

// Whether `norm` computes the same right before `last`, of one graph and behind it: nothing between the two writes but
// into state that is not norm's, as into counters of batches, and nothing reads the statistics that it updates.
bool can_move(const Node& norm, const Node& last, const std::set<std::string>& state) {
  return std::all_of(&norm + 1, &last, [&](const Node& node) {
    const std::vector<std::string> read = node.tensors();
    const auto reads = [&](const char* name) {
      return !norm.tensor(name).empty() && std::ranges::count(read, norm.tensor(name)) > 0;
    };
    if (reads("running_mean") || reads("running_var")) return false;
    return !node.in_place() || (state.contains(node.tensor("self")) && !reads("weight") && !reads("bias")) ||
           (node.target == kAddInPlace && node.tensor("self") == norm.output());
  });
}

Node* maker_of_sum(Graph& graph, const GraphUses& uses, const std::string& value) {
  Node* sum = uses.maker(graph, value, kAdd);
  return sum != nullptr ? sum : uses.maker(graph, value, kAddInPlace);
}

struct NormalisedSum {
  const Node* norm;
  std::string residual;  ///< the other summand
};

// Of a sum of two tensors of the same sizes, the one that nothing else reads and a batch norm makes, which could as
// well be computed right before `last`.
std::optional<NormalisedSum> find_normalised(Graph& graph, const GraphUses& uses, const Node& sum, const Node& last,
                                             const std::set<std::string>& state) {
  if (sum.find("alpha") != nullptr) return std::nullopt;
  const std::string self = sum.tensor("self");
  const std::string other = sum.tensor("other");
  if (self.empty() || other.empty() || self == other || graph.find_sizes(self) != graph.find_sizes(other)) {
    return std::nullopt;
  }
  const auto normalised = [&](const std::string& value) -> const Node* {
    const Node* norm = uses.maker(graph, value, kBatchNorm);
    const bool fits =
        norm != nullptr && uses.readers(value) == 1 && is_fusible(graph, *norm) && can_move(*norm, last, state);
    return fits ? norm : nullptr;
  };
  if (const Node* norm = normalised(self)) return NormalisedSum{norm, other};
  if (sum.in_place()) return std::nullopt;  // another may read what it has written
  if (const Node* norm = normalised(other)) return NormalisedSum{norm, self};
  return std::nullopt;
}

// What a sum or product of two tensors is made of, in both orders.
std::array<std::pair<std::string, std::string>, 2> operands(const Node& node) {
  const std::string self = node.tensor("self");
  const std::string other = node.tensor("other");
  return {{{self, other}, {other, self}}};
}

// x where `last` is the product that ends x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), else ""; and the other nodes of
// it, which nothing else reads.
std::string find_written_gelu(Graph& graph, const GraphUses& uses, const Node& last, std::set<const Node*>& inner) {
  const auto made_by = [&](const std::string& value, const char* target) -> const Node* {
    const Node* node = uses.readers(value) == 1 ? uses.maker(graph, value, target) : nullptr;
    if (node == nullptr || node->find("alpha") != nullptr) return nullptr;
    inner.insert(node);
    return node;
  };
  // What becomes `value` by an operator with this number.
  const auto before = [&](const std::string& value, const char* target, const char* argument, double number) {
    const Node* node = made_by(value, target);
    return node != nullptr && is_number(*node, argument, number) ? node->tensor("self") : "";
  };
  for (const auto& [half, one_more] : operands(last)) {
    inner.clear();
    const std::string x = before(half, kMul, "other", 0.5);
    const Node* tanh = made_by(before(one_more, kAdd, "other", 1), "torch.ops.aten.tanh.default");
    if (x.empty() || tanh == nullptr) continue;
    const double factor = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
    const Node* sum = made_by(before(tanh->tensor("self"), kMul, "other", factor), kAdd);
    if (sum == nullptr) continue;
    for (const auto& [once, cubed] : operands(*sum)) {
      const std::string cube = before(cubed, kMul, "other", 0.044715);
      if (once == x && before(cube, "torch.ops.aten.pow.Tensor_Scalar", "exponent", 3) == x) return x;
    }
  }
  return "";
}

// tanh-GELUs that a program writes out become one operator.
Graph recognise_gelu(Graph graph, std::vector<std::string>& changes) {
  const GraphUses uses(graph);
  std::set<const Node*> gone;
  for (Node& last : graph.nodes) {
    if (last.target != kMul) continue;
    std::set<const Node*> inner;
    const std::string x = find_written_gelu(graph, uses, last, inner);
    const bool real = graph.find_sizes(x) && graph.find_sizes(last.output()) &&
                      graph.scalar_type(x) == graph.scalar_type(last.output());  // not of integers
    if (!real || writes_between(*inner.begin(), &last)) continue;
    std::vector<std::string> replaced;
    for (const Node* node : inner) replaced.push_back(node->name);
    replaced.push_back(last.name);
    last.target = kGelu;
    last.inputs = {{"self", TensorName{x}}, {"approximate", std::string("tanh"), true}};
    gone.merge(inner);
    changes.push_back(describe_change(last, replaced));
  }
  erase(graph, gone);
  return graph;
}

// The product to which a bias was added last of all before x, which nothing else reads: a linear, or an addmm and a
// view of it.
Node* find_biased_product(Graph& graph, const GraphUses& uses, const std::string& x) {
  if (uses.readers(x) != 1) return nullptr;
  if (Node* linear = uses.maker(graph, x, "torch.ops.aten.linear.default")) return linear;
  std::string sum = x;
  for (const char* target : {"torch.ops.aten.view.default", "torch.ops.aten.reshape.default"}) {
    if (const Node* view = uses.maker(graph, x, target)) sum = view->tensor("self");
  }
  Node* addmm = uses.maker(graph, sum, "torch.ops.aten.addmm.default");
  const bool plain =
      addmm != nullptr && uses.readers(sum) == 1 && addmm->find("beta") == nullptr && addmm->find("alpha") == nullptr;
  return plain ? addmm : nullptr;
}

}  // namespace

Graph fuse_bias_gelu(Graph graph, std::vector<std::string>& changes) {
  graph = recognise_gelu(std::move(graph), changes);
  const GraphUses uses(graph);
  for (Node& gelu : graph.nodes) {
    if (gelu.target != kGelu) continue;
    const std::string x = gelu.tensor("self");
    Node* product = find_biased_product(graph, uses, x);
    if (product == nullptr) continue;
    const bool is_addmm = product->aten_name() == "addmm";
    const std::string bias = product->tensor(is_addmm ? "self" : "bias");
    if (bias.empty() || !is_along_last(graph, bias, x) || writes_between(product, &gelu)) continue;
    gelu.target = "torch.ops.lockstep.bias_gelu.default";
    gelu.inputs = {{"x", TensorName{x}},
                   {"bias", TensorName{bias}},
                   {"approximate", argument_or(gelu, "approximate", std::string("none")), true}};
    if (is_addmm) {
      product->target = "torch.ops.aten.mm.default";
      product->inputs = {{"self", TensorName{product->tensor("mat1")}}, {"mat2", TensorName{product->tensor("mat2")}}};
    } else {
      product->set("bias", NoneArgument{});
    }
    changes.push_back(describe_change(gelu, {product->name, gelu.name}));
  }
  return graph;
}

Graph fuse_layer_norm(Graph graph, std::vector<std::string>& changes) {
  const GraphUses uses(graph);
  const std::set<std::string> state = state_of(graph);
  std::set<const Node*> gone;
  for (Node& norm : graph.nodes) {
    if (norm.target != "torch.ops.aten.layer_norm.default") continue;
    const std::string x = norm.tensor("input");
    const auto sizes = graph.find_sizes(x);
    const Argument* shape = norm.find("normalized_shape");
    const auto* normalized = shape == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(shape);
    if (!sizes || sizes->empty() || normalized == nullptr || normalized->size() != 1 ||
        sizes->back() != Dimension(normalized->front()) || norm.output().empty()) {
      continue;
    }
    const std::string weight = norm.tensor("weight");
    const std::string bias = norm.tensor("bias");
    if (!is_along_last(graph, weight, x) || !is_along_last(graph, bias, x)) continue;
    const std::vector<NamedArgument> rest = {{"weight", argument_or(norm, "weight", NoneArgument{})},
                                             {"bias", argument_or(norm, "bias", NoneArgument{})},
                                             {"eps", argument_or(norm, "eps", 1e-5), true}};
    const auto replace = [&](Node& node, const char* target, std::vector<NamedArgument> inputs,
                             const std::vector<std::string>& replaced) {
      node.target = target;
      node.inputs = std::move(inputs);
      node.inputs.insert(node.inputs.end(), rest.begin(), rest.end());
      changes.push_back(describe_change(node, replaced));
    };
    const auto early = [&](const std::string& name) { return name.empty() || state.contains(name); };
    Node* sum = uses.maker(graph, x, "torch.ops.aten.add.Tensor");
    const auto of_same_size = [&](const char* name) { return graph.find_sizes(sum->tensor(name)) == sizes; };
    if (sum != nullptr && sum->find("alpha") == nullptr && of_same_size("self") && of_same_size("other") &&
        early(weight) && early(bias) && !writes_between(sum, &norm)) {
      const std::string norm_name = norm.name;
      sum->outputs = {TensorName{x}, TensorName{norm.output()}};
      gone.insert(&norm);
      replace(*sum, "torch.ops.lockstep.add_layer_norm.default",
              {{"x", TensorName{sum->tensor("self")}}, {"residual", TensorName{sum->tensor("other")}}},
              {sum->name, norm_name});
    } else {
      replace(norm, "torch.ops.lockstep.layer_norm.default", {{"x", TensorName{x}}}, {norm.name});
    }
  }
  erase(graph, gone);
  return graph;
}

Graph fuse_max_pool_relu(Graph graph, std::vector<std::string>& changes) {
  const GraphUses uses(graph);
  std::set<const Node*> gone;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& pool = graph.nodes[i];
    if (pool.target != "torch.ops.aten.max_pool2d.default") continue;
    const auto kernel = pair(pool, "kernel_size", {});
    if (!kernel || kernel->empty() || std::ranges::max(*kernel) > kernels::kMostPoolKernel) continue;
    const auto stride = pair(pool, "stride", *kernel);
    const auto padding = pair(pool, "padding", {0, 0});
    const auto sizes = graph.find_sizes(pool.tensor("self"));
    if (!stride || !padding || pair(pool, "dilation", {1, 1}) != Pair{1, 1} || !sizes || sizes->size() != 4) continue;
    std::string x = pool.tensor("self");
    std::string y = pool.output();
    std::vector<std::string> replaced = {pool.name};
    Node* before = uses.maker(graph, x, kRelu);
    Node* after = i + 1 < graph.nodes.size() ? &graph.nodes[i + 1] : nullptr;
    bool relu = false;
    if (before != nullptr && uses.readers(x) == 1 && !gone.contains(before) && !writes_between(before, &pool)) {
      relu = true;
      x = before->tensor("self");
      gone.insert(before);
      replaced.insert(replaced.begin(), before->name);
    } else if (after != nullptr && after->target == kRelu && after->tensor("self") == y && uses.readers(y) == 1) {
      relu = true;
      y = after->output();
      gone.insert(after);
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
  erase(graph, gone);
  return graph;
}

Graph fuse_batch_norm(Graph graph, std::vector<std::string>& changes) {
  const GraphUses uses(graph);
  const std::set<std::string> state = state_of(graph);
  std::set<const Node*> gone;
  // Puts `norm`, and what follows it, in the place of `last`.
  const auto fuse = [&](const Node& norm, Node& last, const std::string& residual, bool relu,
                        const std::vector<std::string>& replaced) {
    std::vector<NamedArgument> inputs;
    for (const char* name : {"input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps"}) {
      inputs.push_back({name, argument_or(norm, name, NoneArgument{})});
    }
    inputs.push_back({"residual", residual.empty() ? Argument(NoneArgument{}) : Argument(TensorName{residual})});
    inputs.push_back({"relu", relu});
    last.target = "torch.ops.lockstep.batch_norm.default";
    last.metadata = nlohmann::json(norm.metadata);
    last.inputs = std::move(inputs);
    if (&norm != &last) gone.insert(&norm);
    changes.push_back(describe_change(last, replaced));
  };
  for (Node& relu : graph.nodes) {
    if (relu.target != kRelu && relu.target != kReluInPlace) continue;
    const std::string x = relu.tensor("self");
    if (uses.readers(x) != 1) continue;
    if (const Node* norm = uses.maker(graph, x, kBatchNorm)) {
      if (is_fusible(graph, *norm) && can_move(*norm, relu, state))
        fuse(*norm, relu, "", true, {norm->name, relu.name});
      continue;
    }
    const Node* sum = maker_of_sum(graph, uses, x);
    const auto found = sum == nullptr ? std::nullopt : find_normalised(graph, uses, *sum, relu, state);
    if (!found) continue;
    const std::vector<std::string> replaced = {found->norm->name, sum->name, relu.name};
    gone.insert(sum);
    fuse(*found->norm, relu, found->residual, true, replaced);
  }
  for (Node& sum : graph.nodes) {
    if ((sum.target != kAdd && sum.target != kAddInPlace) || gone.contains(&sum)) continue;
    const auto found = find_normalised(graph, uses, sum, sum, state);
    if (!found) continue;
    fuse(*found->norm, sum, found->residual, false, {found->norm->name, sum.name});
  }
  for (Node& norm : graph.nodes) {
    if (norm.target != kBatchNorm || gone.contains(&norm) || !is_fusible(graph, norm)) continue;
    fuse(norm, norm, "", false, {norm.name});
  }
  erase(graph, gone);
  return graph;
}

Graph fuse_attention(Graph graph, std::vector<std::string>& changes) {
  for (Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.scaled_dot_product_attention.default") continue;
    const Argument* dropout = node.find("dropout_p");
    const auto* share = dropout == nullptr ? nullptr : std::get_if<double>(dropout);
    if (share == nullptr || *share <= 0) continue;
    // It keeps queries, keys and mask themselves for backward, where PyTorch keeps what it makes of them.
    if (writes_between(&node, graph.nodes.data() + graph.nodes.size())) continue;
    node.target = "torch.ops.lockstep.attention.default";
    changes.push_back(describe_change(node, {node.name}));
  }
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

bool multiplies_faster_by_onednn() {
#if defined(__x86_64__)
  return __builtin_cpu_is("amd") && __builtin_cpu_supports("avx512f");
#else
  return false;
#endif
}

Graph use_onednn_linear(Graph graph, std::vector<std::string>& changes) {
  for (Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.linear.default") continue;
    const auto sizes = graph.find_sizes(node.tensor("weight"));
    const bool large = sizes && std::ranges::all_of(*sizes, [](const Dimension& size) {
                         const auto* known = std::get_if<std::int64_t>(&size);
                         return known != nullptr && *known >= kLargeProduct;
                       });
    if (!large) continue;
    node.target = "torch.ops.lockstep.linear.default";
    changes.push_back(describe_change(node, {node.name}));
  }
  return graph;
}

Graph slice_before_strided_pointwise(Graph graph, std::vector<std::string>& changes) {
  constexpr std::int64_t kChannels = 16;  // oneDNN counts in vectors of 8; 16 where a processor has longer ones
  for (Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.conv2d.default") continue;
    const auto kernel = graph.find_sizes(node.tensor("weight"));
    const auto stride = pair(node, "stride", {1, 1});
    if (!kernel || kernel->size() != 4 || (*kernel)[2] != Dimension(1) || (*kernel)[3] != Dimension(1)) continue;
    const auto* channels = std::get_if<std::int64_t>(&(*kernel)[1]);
    if (channels == nullptr || *channels >= kChannels || !stride || *stride == Pair{1, 1} ||
        pair(node, "padding", {0, 0}) != Pair{0, 0}) {
      continue;
    }
    node.target = "torch.ops.lockstep.strided_pointwise_conv2d.default";
    node.inputs = {{"input", TensorName{node.tensor("input")}},
                   {"weight", TensorName{node.tensor("weight")}},
                   {"bias", argument_or(node, "bias", NoneArgument{})},
                   {"stride", *stride, true},
                   {"groups", argument_or(node, "groups", std::int64_t{1}), true}};
    changes.push_back(describe_change(node, {node.name}));
  }
  return graph;
}

}  // namespace lockstep
