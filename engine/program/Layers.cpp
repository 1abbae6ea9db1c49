#include "engine/program/Layers.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep::layers {

namespace {

constexpr std::int64_t kOpen = GraphBuilder::kOpen;

NamedArgument tensor(const char* name, const Value& value) { return GraphBuilder::tensor(name, value); }
NamedArgument argument(const char* name, Argument value) { return {name, std::move(value), false}; }

std::int64_t product(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

std::string sizes_in_words(const Sizes& sizes) {
  std::vector<std::string> words = {"batch"};
  for (const std::int64_t size : sizes) words.push_back(size == kOpen ? "length" : std::to_string(size));
  return join(words, " × ");
}

void require(bool condition, const std::string& layer, const std::string& expected, const Sizes& found) {
  if (!condition) throw InputError("layer " + layer + " takes " + expected + ", not " + sizes_in_words(found));
}

void require_images(const Value& x, const std::string& layer) {
  require(x.sizes.size() == 3, layer, "batch × channels × height × width", x.sizes);
}

void require_last(const Value& x, const std::string& layer) {
  require(!x.sizes.empty() && x.sizes.back() != kOpen, layer, "batch × … × features", x.sizes);
}

// torch.nn.Conv2d and Linear draw weight and bias from U(-1/√fan_in, 1/√fan_in): kaiming_uniform_ with a = √5.
Initial by_fan_in(std::int64_t fan_in) { return initial::uniform(1 / std::sqrt(static_cast<double>(fan_in))); }

// As the program counts dimensions.
std::int64_t place(const Value& x, std::int64_t dimension) { return x.batched ? dimension + 1 : dimension; }

Value of_same_sizes(GraphBuilder& graph, const char* op, std::vector<NamedArgument> inputs, const Value& x) {
  return graph.node(op, std::move(inputs), {.sizes = x.sizes, .batched = x.batched});
}

// Sizes that are all known are integers, as the exporter writes them.
Argument size_list(GraphBuilder& graph, SymInt first, const Sizes& sizes) {
  std::vector<SymInt> all = {std::move(first)};
  for (const std::int64_t size : sizes) all.push_back(graph.size(size));
  Sizes known;
  for (const SymInt& size : all) {
    if (const auto* number = std::get_if<std::int64_t>(&size)) known.push_back(*number);
  }
  return known.size() == all.size() ? Argument(known) : Argument(all);
}

}  // namespace

Value conv2d(GraphBuilder& graph, const Value& x, const std::string& layer, const Conv2d& options) {
  require_images(x, layer);
  const std::int64_t in = x.sizes[0] / options.groups;
  require(in * options.groups == x.sizes[0] && options.channels % options.groups == 0, layer,
          "channels in " + std::to_string(options.groups) + " groups", x.sizes);
  const std::int64_t kernel = options.kernel;
  const auto output = [&](std::int64_t size) { return (size + 2 * options.padding - kernel) / options.stride + 1; };
  require(std::min(x.sizes[1], x.sizes[2]) + 2 * options.padding >= kernel, layer,
          "images of at least the kernel's size", x.sizes);
  const Initial usual = by_fan_in(in * kernel * kernel);
  const Value weight = graph.parameter(layer + ".weight", {options.channels, in, kernel, kernel},
                                       options.weights ? options.weights : usual);
  Argument bias = NoneArgument{};
  if (options.bias) {
    const Initial& initial = options.biases ? options.biases : usual;
    bias = TensorName{graph.parameter(layer + ".bias", {options.channels}, initial).name};
  }
  std::vector<NamedArgument> inputs = {tensor("input", x), tensor("weight", weight), argument("bias", bias),
                                       argument("stride", Sizes(2, options.stride)),
                                       argument("padding", Sizes(2, options.padding))};
  if (options.groups > 1) {
    inputs.push_back(argument("dilation", Sizes{1, 1}));
    inputs.push_back(argument("groups", options.groups));
  }
  return graph.node("conv2d.default", std::move(inputs),
                    {.sizes = {options.channels, output(x.sizes[1]), output(x.sizes[2])}});
}

Value batch_norm(GraphBuilder& graph, const Value& x, const std::string& layer) {
  require_images(x, layer);
  const std::int64_t channels = x.sizes[0];
  const Value weight = graph.parameter(layer + ".weight", {channels}, initial::constant(1));
  const Value bias = graph.parameter(layer + ".bias", {channels}, initial::constant(0));
  const Value mean = graph.buffer(layer + ".running_mean", at::zeros({channels}));
  const Value var = graph.buffer(layer + ".running_var", at::ones({channels}));
  const Value count = graph.buffer(layer + ".num_batches_tracked", at::zeros({}, at::kLong));
  graph.node("add_.Tensor", {tensor("self", count), argument("other", std::int64_t{1})},
             {.sizes = {}, .batched = false, .type = at::kLong});
  return of_same_sizes(graph, "batch_norm.default",
                       {tensor("input", x), tensor("weight", weight), tensor("bias", bias),
                        tensor("running_mean", mean), tensor("running_var", var), argument("training", true),
                        argument("momentum", 0.1), argument("eps", 1e-5), argument("cudnn_enabled", true)},
                       x);
}

Value max_pool2d(GraphBuilder& graph, const Value& x, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  require(x.sizes.size() == 3 && std::min(x.sizes[1], x.sizes[2]) + 2 * padding >= kernel, "max_pool2d",
          "images of at least " + std::to_string(kernel) + " × " + std::to_string(kernel), x.sizes);
  const auto output = [&](std::int64_t size) { return (size + 2 * padding - kernel) / stride + 1; };
  std::vector<NamedArgument> inputs = {tensor("self", x), argument("kernel_size", Sizes(2, kernel))};
  if (stride != kernel || padding > 0) inputs.push_back(argument("stride", Sizes(2, stride)));
  if (padding > 0) inputs.push_back(argument("padding", Sizes(2, padding)));
  return graph.node("max_pool2d.default", std::move(inputs),
                    {.sizes = {x.sizes[0], output(x.sizes[1]), output(x.sizes[2])}});
}

Value average_pool2d(GraphBuilder& graph, const Value& x) {
  require_images(x, "adaptive_avg_pool2d");
  return graph.node("adaptive_avg_pool2d.default", {tensor("self", x), argument("output_size", Sizes{1, 1})},
                    {.sizes = {x.sizes[0], 1, 1}});
}

Value linear(GraphBuilder& graph, const Value& x, const std::string& layer, const Linear& options) {
  require_last(x, layer);
  const std::int64_t in = x.sizes.back();
  Sizes sizes = {options.features, in};
  if (options.transposed) std::ranges::reverse(sizes);
  Value weight = graph.parameter(layer + ".weight", sizes, options.weights ? options.weights : by_fan_in(in));
  const Value bias =
      graph.parameter(layer + ".bias", {options.features}, options.biases ? options.biases : by_fan_in(in));
  if (options.transposed) {
    weight = graph.node("t.default", {tensor("self", weight)}, {.sizes = {options.features, in}, .batched = false});
  }
  return linear(graph, x, weight, &bias);
}

Value linear(GraphBuilder& graph, const Value& x, const Value& weight, const Value* bias) {
  std::vector<NamedArgument> inputs = {tensor("input", x), tensor("weight", weight)};
  if (bias != nullptr) inputs.push_back(tensor("bias", *bias));
  Sizes result = x.sizes;
  result.back() = weight.sizes.at(0);
  return graph.node("linear.default", std::move(inputs), {.sizes = std::move(result)});
}

Value layer_norm(GraphBuilder& graph, const Value& x, const std::string& layer, double epsilon) {
  require_last(x, layer);
  const Value weight = graph.parameter(layer + ".weight", {x.sizes.back()}, initial::constant(1));
  const Value bias = graph.parameter(layer + ".bias", {x.sizes.back()}, initial::constant(0));
  return of_same_sizes(graph, "layer_norm.default",
                       {tensor("input", x), argument("normalized_shape", Sizes{x.sizes.back()}),
                        tensor("weight", weight), tensor("bias", bias), argument("eps", epsilon)},
                       x);
}

Value embedding(GraphBuilder& graph, const Value& indices, const Value& table, std::int64_t padding_row) {
  std::vector<NamedArgument> inputs = {tensor("weight", table), tensor("indices", indices)};
  if (padding_row >= 0) inputs.push_back(argument("padding_idx", padding_row));
  Sizes sizes = indices.sizes;
  sizes.push_back(table.sizes.at(1));
  return graph.node("embedding.default", std::move(inputs), {.sizes = std::move(sizes)});
}

Value relu(GraphBuilder& graph, const Value& x) { return of_same_sizes(graph, "relu.default", {tensor("self", x)}, x); }

Value tanh(GraphBuilder& graph, const Value& x) { return of_same_sizes(graph, "tanh.default", {tensor("self", x)}, x); }

Value gelu(GraphBuilder& graph, const Value& x, const std::string& approximate) {
  std::vector<NamedArgument> inputs = {tensor("self", x)};
  if (approximate != "none") inputs.push_back({"approximate", approximate, true});
  return of_same_sizes(graph, "gelu.default", std::move(inputs), x);
}

Value dropout(GraphBuilder& graph, const Value& x, double probability) {
  if (probability == 0) return x;
  return of_same_sizes(graph, "dropout.default",
                       {tensor("input", x), argument("p", probability), argument("train", true)}, x);
}

Value add(GraphBuilder& graph, const Value& a, const Value& b) {
  const Value& larger = a.batched ? a : b;
  return of_same_sizes(graph, "add.Tensor", {tensor("self", a), tensor("other", b)}, larger);
}

Value is_not_zero(GraphBuilder& graph, const Value& x) {
  return graph.node("ne.Scalar", {tensor("self", x), argument("other", std::int64_t{0})},
                    {.sizes = x.sizes, .batched = x.batched, .type = at::kBool});
}

Value flatten(GraphBuilder& graph, const Value& x) {
  if (x.sizes.empty()) return unsqueeze(graph, x, 0);
  return graph.node("flatten.using_ints", {tensor("self", x), argument("start_dim", std::int64_t{1})},
                    {.sizes = {product(x.sizes)}});
}

Value reshape(GraphBuilder& graph, const Value& x, const Sizes& sizes) {
  const Argument shape = size_list(graph, std::int64_t{-1}, sizes);
  return graph.node("reshape.default", {tensor("self", x), argument("shape", shape)}, {.sizes = sizes});
}

Value permute(GraphBuilder& graph, const Value& x, const std::vector<std::int64_t>& order) {
  Sizes sizes;
  Sizes places;
  if (x.batched) places.push_back(0);
  for (const std::int64_t dimension : order) {
    sizes.push_back(x.sizes.at(static_cast<std::size_t>(dimension)));
    places.push_back(place(x, dimension));
  }
  return graph.node("permute.default", {tensor("self", x), argument("dims", places)},
                    {.sizes = std::move(sizes), .batched = x.batched});
}

Value unsqueeze(GraphBuilder& graph, const Value& x, std::int64_t dimension, at::ScalarType type) {
  Sizes sizes = x.sizes;
  sizes.insert(sizes.begin() + dimension, 1);
  return graph.node("unsqueeze.default", {tensor("self", x), argument("dim", place(x, dimension))},
                    {.sizes = std::move(sizes), .batched = x.batched, .type = type});
}

Value select(GraphBuilder& graph, const Value& x, std::int64_t dimension, std::int64_t index) {
  Sizes sizes = x.sizes;
  sizes.erase(sizes.begin() + dimension);
  return graph.node("select.int", {tensor("self", x), argument("dim", place(x, dimension)), argument("index", index)},
                    {.sizes = std::move(sizes), .batched = x.batched});
}

Value first(GraphBuilder& graph, const Value& x, std::int64_t count) {
  if (x.sizes.at(0) == count) return x;
  Sizes sizes = x.sizes;
  sizes[0] = count;
  const SymInt size = graph.size(count);
  const auto* known = std::get_if<std::int64_t>(&size);
  return graph.node("slice.Tensor",
                    {tensor("self", x), argument("dim", place(x, 0)), argument("start", std::int64_t{0}),
                     argument("end", known != nullptr ? Argument(*known) : Argument(size))},
                    {.sizes = std::move(sizes), .batched = x.batched});
}

Value cat(GraphBuilder& graph, const std::vector<Value>& parts, std::int64_t dimension) {
  TensorNames names;
  Sizes sizes = parts.at(0).sizes;
  std::int64_t& sum = sizes.at(static_cast<std::size_t>(dimension));
  sum = 0;
  for (const Value& part : parts) {
    names.names.emplace_back(part.name);
    sum += part.sizes.at(static_cast<std::size_t>(dimension));
  }
  return graph.node("cat.default", {argument("tensors", names), argument("dim", place(parts.at(0), dimension))},
                    {.sizes = std::move(sizes)});
}

Value expand_to_batch(GraphBuilder& graph, const Value& parameter) {
  const Sizes sizes(parameter.sizes.begin() + 1, parameter.sizes.end());
  const Argument all = size_list(graph, graph.batch_size(), sizes);
  return graph.node("expand.default", {tensor("self", parameter), argument("size", all)}, {.sizes = sizes});
}

Value attention(GraphBuilder& graph, const Value& query, const Value& key, const Value& value,
                const Attention& options) {
  const Argument mask = options.mask != nullptr ? Argument(TensorName{options.mask->name}) : Argument(NoneArgument{});
  return of_same_sizes(graph, "scaled_dot_product_attention.default",
                       {tensor("query", query), tensor("key", key), tensor("value", value), argument("attn_mask", mask),
                        argument("dropout_p", options.dropout), argument("is_causal", options.causal)},
                       query);
}

}  // namespace lockstep::layers
