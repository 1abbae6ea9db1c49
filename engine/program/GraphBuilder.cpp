#include "engine/program/GraphBuilder.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/TorchError.h"

namespace lockstep {

using nlohmann::json;
using Sizes = std::vector<std::int64_t>;

namespace {

constexpr const char* kBatch = "s0";

std::int64_t product(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

json int_entries(const Sizes& values) {
  json list = json::array();
  for (const std::int64_t value : values) list.push_back({{"as_int", value}});
  return list;
}

Sizes contiguous_strides(const Sizes& sizes) {
  Sizes strides(sizes.size(), 1);
  for (std::size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * sizes[i];
  return strides;
}

void require(bool condition, const std::string& layer, const std::string& expected, const Sizes& found) {
  if (condition) return;
  throw InputError("layer " + layer + " takes " + expected + ", not batch × " + join(found, " × "));
}

NamedArgument tensor(const std::string& name, const std::string& value) { return {name, TensorName{value}, false}; }

// A program calls one module: its inputs are its positional arguments and it returns one tensor.
json module_call_graph(const std::vector<GraphInput>& inputs) {
  json leaves = json::array();
  json names = json::array();
  for (const GraphInput& input : inputs) {
    leaves.push_back({{"type", nullptr}, {"context", nullptr}, {"children_spec", json::array()}});
    names.push_back(input.value);
  }
  const json tuple = {{"type", "builtins.tuple"}, {"context", "null"}, {"children_spec", leaves}};
  const json dict = {{"type", "builtins.dict"}, {"context", "[]"}, {"children_spec", json::array()}};
  const json arguments = {{"type", "builtins.tuple"}, {"context", "null"}, {"children_spec", {tuple, dict}}};
  const json leaf = {{"type", nullptr}, {"context", nullptr}, {"children_spec", json::array()}};
  const json signature = {{"inputs", json::array()},
                          {"outputs", json::array()},
                          {"in_spec", json::array({1, arguments}).dump()},
                          {"out_spec", json::array({1, leaf}).dump()},
                          {"forward_arg_names", names}};
  return json::array({{{"fqn", ""}, {"signature", signature}}});
}

}  // namespace

GraphBuilder::GraphBuilder(std::uint64_t seed) : generator_(at::detail::createCPUGenerator(seed)) {}

void GraphBuilder::describe_value(const std::string& name, at::ScalarType type, const json& sizes, const json& strides,
                                  bool requires_grad) {
  tensor_values_[name] = {{"dtype", scalar_type_to_archive(type)},
                          {"sizes", sizes},
                          {"requires_grad", requires_grad},
                          {"device", {{"type", "cpu"}, {"index", nullptr}}},
                          {"strides", strides},
                          {"storage_offset", {{"as_int", 0}}},
                          {"layout", 7}};
}

std::string GraphBuilder::state(const std::string& name, InputKind kind, const at::Tensor& tensor) {
  std::string value = (kind == InputKind::kParameter ? "p_" : "b_") + name;
  std::ranges::replace(value, '.', '_');
  describe_value(value, tensor.scalar_type(), int_entries(tensor.sizes().vec()), int_entries(tensor.strides().vec()),
                 kind == InputKind::kParameter);
  state_inputs_.push_back({kind, value, name, true});
  state_[name] = tensor.set_requires_grad(kind == InputKind::kParameter);
  return value;
}

// torch.nn.Conv2d and Linear draw weight and bias from U(-1/√fan_in, 1/√fan_in): kaiming_uniform_ with a = √5.
std::string GraphBuilder::parameter(const std::string& name, const Sizes& sizes, double bound) {
  try {
    return state(name, InputKind::kParameter, at::empty(sizes).uniform_(-bound, bound, generator_));
  } catch (const c10::Error& error) {
    rethrow(error, "the parameter " + name + " of " + join(sizes, " × ") + " numbers cannot be made");
  }
}

GraphBuilder::Value GraphBuilder::add(const std::string& op, const std::string& overload,
                                      std::vector<NamedArgument> inputs, Sizes sizes) {
  const int uses = name_uses_[op]++;
  const std::string name = uses == 0 ? op : op + "_" + std::to_string(uses);
  json all_sizes = int_entries(sizes);
  const json batch = {{"expr_str", std::string("Symbol('") + kBatch + "', positive=True, integer=True)"},
                      {"hint", {{"as_int", 2}}}};
  all_sizes.insert(all_sizes.begin(), json{{"as_expr", batch}});
  Sizes with_batch = sizes;
  with_batch.insert(with_batch.begin(), 1);
  describe_value(name, at::kFloat, all_sizes, int_entries(contiguous_strides(with_batch)), false);
  if (!overload.empty()) {
    nodes_.push_back({.target = "torch.ops.aten." + op + "." + overload,
                      .inputs = std::move(inputs),
                      .outputs = {TensorName{name}},
                      .metadata = json::object(),
                      .name = name});
  }
  return {name, std::move(sizes)};
}

GraphBuilder::Value GraphBuilder::input(const std::string& name, Sizes sizes) {
  user_inputs_.push_back({InputKind::kUserInput, name, "", true});
  return add(name, "", {}, std::move(sizes));
}

GraphBuilder::Value GraphBuilder::conv2d(const Value& x, const std::string& layer, std::int64_t channels,
                                         std::int64_t kernel, std::int64_t padding) {
  require(x.sizes.size() == 3, layer, "batch × channels × height × width", x.sizes);
  const std::int64_t height = x.sizes[1] + 2 * padding - kernel + 1;
  const std::int64_t width = x.sizes[2] + 2 * padding - kernel + 1;
  require(height > 0 && width > 0, layer, "images of at least the kernel's size", x.sizes);
  const double bound = 1 / std::sqrt(static_cast<double>(x.sizes[0] * kernel * kernel));
  const std::string weight = parameter(layer + ".weight", {channels, x.sizes[0], kernel, kernel}, bound);
  const std::string bias = parameter(layer + ".bias", {channels}, bound);
  return add("conv2d", "default",
             {tensor("input", x.name),
              tensor("weight", weight),
              tensor("bias", bias),
              {"stride", Sizes{1, 1}, false},
              {"padding", Sizes{padding, padding}, false}},
             {channels, height, width});
}

GraphBuilder::Value GraphBuilder::batch_norm(const Value& x, const std::string& layer) {
  require(x.sizes.size() == 3, layer, "batch × channels × height × width", x.sizes);
  const std::int64_t channels = x.sizes[0];
  const std::string weight = state(layer + ".weight", InputKind::kParameter, at::ones({channels}));
  const std::string bias = state(layer + ".bias", InputKind::kParameter, at::zeros({channels}));
  const std::string mean = state(layer + ".running_mean", InputKind::kBuffer, at::zeros({channels}));
  const std::string var = state(layer + ".running_var", InputKind::kBuffer, at::ones({channels}));
  const std::string count = state(layer + ".num_batches_tracked", InputKind::kBuffer, at::zeros({}, at::kLong));
  const int uses = name_uses_["add_"]++;
  const std::string counted = uses == 0 ? "add_" : "add__" + std::to_string(uses);
  describe_value(counted, at::kLong, json::array(), json::array(), false);
  nodes_.push_back({.target = "torch.ops.aten.add_.Tensor",
                    .inputs = {tensor("self", count), {"other", std::int64_t{1}, false}},
                    .outputs = {TensorName{counted}},
                    .metadata = json::object(),
                    .name = counted});
  return add("batch_norm", "default",
             {tensor("input", x.name),
              tensor("weight", weight),
              tensor("bias", bias),
              tensor("running_mean", mean),
              tensor("running_var", var),
              {"training", true, false},
              {"momentum", 0.1, false},
              {"eps", 1e-5, false},
              {"cudnn_enabled", true, false}},
             x.sizes);
}

GraphBuilder::Value GraphBuilder::linear(const Value& x, const std::string& layer, std::int64_t features) {
  require(x.sizes.size() == 1, layer, "batch × features", x.sizes);
  const double bound = 1 / std::sqrt(static_cast<double>(x.sizes[0]));
  const std::string weight = parameter(layer + ".weight", {features, x.sizes[0]}, bound);
  const std::string bias = parameter(layer + ".bias", {features}, bound);
  return add("linear", "default", {tensor("input", x.name), tensor("weight", weight), tensor("bias", bias)},
             {features});
}

GraphBuilder::Value GraphBuilder::relu(const Value& x) {
  return add("relu", "default", {tensor("self", x.name)}, x.sizes);
}

GraphBuilder::Value GraphBuilder::max_pool2d(const Value& x, std::int64_t kernel) {
  require(x.sizes.size() == 3 && x.sizes[1] >= kernel && x.sizes[2] >= kernel, "max_pool2d",
          "images of at least " + std::to_string(kernel) + " × " + std::to_string(kernel), x.sizes);
  return add("max_pool2d", "default", {tensor("self", x.name), {"kernel_size", Sizes{kernel, kernel}, false}},
             {x.sizes[0], x.sizes[1] / kernel, x.sizes[2] / kernel});
}

GraphBuilder::Value GraphBuilder::dropout(const Value& x, double probability) {
  return add("dropout", "default", {tensor("input", x.name), {"p", probability, false}, {"train", true, false}},
             x.sizes);
}

GraphBuilder::Value GraphBuilder::flatten(const Value& x) {
  return add("flatten", "using_ints", {tensor("self", x.name), {"start_dim", std::int64_t{1}, false}},
             {product(x.sizes)});
}

Program GraphBuilder::build(const std::string& name, const Value& output) {
  // torch.export lists parameters before buffers, and the user's inputs last.
  std::ranges::stable_sort(state_inputs_, {}, &GraphInput::kind);
  Graph graph;
  graph.inputs = state_inputs_;
  graph.inputs.insert(graph.inputs.end(), user_inputs_.begin(), user_inputs_.end());
  graph.outputs = {output.name};
  graph.nodes = nodes_;
  const json body = {{"tensor_values", tensor_values_},     {"sym_int_values", json::object()},
                     {"sym_bool_values", json::object()},   {"sym_float_values", json::object()},
                     {"custom_obj_values", json::object()}, {"is_single_tensor_return", false}};
  graph.document = {{"graph_module",
                     {{"graph", body},
                      {"module_call_graph", module_call_graph(user_inputs_)},
                      {"metadata", json::object()},
                      {"treespec_namedtuple_fields", json::object()}}},
                    {"opset_version", {{"aten", 10}}},
                    {"range_constraints", {{kBatch, {{"min_val", 1}, {"max_val", nullptr}}}}},
                    {"schema_version", {{"major", 8}, {"minor", 17}}},
                    {"verifiers", {"TRAINING"}},
                    {"torch_version", TORCH_VERSION},
                    {"guards_code", json::array()}};
  return Program(name, std::move(graph), state_);
}

}  // namespace lockstep
