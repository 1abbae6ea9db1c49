#include "engine/artifacts/WeightQuantization.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr double kMostInt8 = 127;

// The dimension of the output's channels of a weight, which is the operation's second input.
std::optional<std::size_t> channel_axis(const primitive::Operation& operation) {
  if (std::holds_alternative<primitive::Linear>(operation)) return 0;
  if (std::holds_alternative<primitive::Convolution>(operation)) return 0;
  if (std::holds_alternative<primitive::TransposedConvolution>(operation)) return 1;
  if (const auto* product = std::get_if<primitive::MatrixMultiply>(&operation)) {
    return product->transpose_second ? 0 : 1;
  }
  return std::nullopt;
}

// Which of the graph's state is read as a weight and as nothing else: its place → the dimension of channels.
std::map<std::size_t, std::size_t> weights_of(const PrimitiveGraph& graph) {
  std::map<ValueId, std::size_t> places;
  for (std::size_t i = 0; i < graph.state.size(); ++i) places[graph.state[i].value] = i;
  std::map<std::size_t, std::size_t> weights;
  std::vector<bool> other(graph.state.size(), false);
  for (const PrimitiveInterface& output : graph.outputs) {
    if (const auto found = places.find(output.value); found != places.end()) other[found->second] = true;
  }
  for (const PrimitiveNode& node : graph.nodes) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const auto found = places.find(node.inputs[i]);
      if (found == places.end()) continue;
      const PrimitiveValue& value = graph.values[found->first.index];
      const auto axis = i == 1 ? channel_axis(node.operation) : std::nullopt;
      const bool matrix = value.sizes.size() > 2 ? !std::holds_alternative<primitive::MatrixMultiply>(node.operation)
                                                 : value.sizes.size() == 2;
      const bool weight = axis && matrix && value.type == ElementType::kFloat;
      const std::size_t dim = axis.value_or(0);
      if (!weight || weights.emplace(found->second, dim).first->second != dim) other[found->second] = true;
    }
  }
  std::erase_if(weights, [&](const auto& weight) { return other[weight.first]; });
  return weights;
}

struct Int8 {
  at::Tensor values;
  at::Tensor scales;  ///< [channels]
  at::Tensor rounded;
};

Int8 quantized(const at::Tensor& weight, std::size_t axis) {
  const at::Tensor exact = weight.detach().to(at::kDouble);
  std::vector<std::int64_t> others;
  std::vector<std::int64_t> wide(static_cast<std::size_t>(exact.dim()), 1);
  wide[axis] = exact.size(static_cast<std::int64_t>(axis));
  for (std::int64_t dim = 0; dim < exact.dim(); ++dim) {
    if (dim != static_cast<std::int64_t>(axis)) others.push_back(dim);
  }
  const at::Tensor largest = exact.numel() == 0 ? at::zeros({wide[axis]}, at::kDouble) : at::amax(exact.abs(), others);
  const at::Tensor scales = at::where(largest > 0, largest / kMostInt8, 1.0).to(at::kFloat);
  const at::Tensor values =
      at::clamp(at::round(exact / scales.to(at::kDouble).view(wide)), -kMostInt8, kMostInt8).to(at::kChar);
  return {values.contiguous(), scales, values.to(at::kFloat) * scales.view(wide)};
}

}  // namespace

Program with_rounded_weights(const Program& program) {
  const PrimitiveProgram lowered = to_primitives(program);
  std::vector<at::Tensor> from;
  std::vector<at::Tensor> to;
  for (const auto& [place, axis] : weights_of(lowered.graph)) {
    from.push_back(program.tensor(
        *std::ranges::find(program.graph().inputs, lowered.graph.state[place].names.at(0), &GraphInput::state_name)));
    to.push_back(quantized(from.back(), axis).rounded);
  }
  if (from.empty()) {
    throw InputError(
        "quantize=int8-weights: the program " + program.name() +
        " multiplies by no float32 weight of a layer or a convolution, so that nothing would be quantized");
  }
  return program.with_tensors(from, to);
}

PrimitiveProgram with_int8_weights(PrimitiveProgram program) {
  PrimitiveGraph& graph = program.graph;
  std::vector<PrimitiveNode> nodes;
  std::map<ValueId, ValueId> replaced;
  const auto value = [&](PrimitiveValue made) {
    graph.values.push_back(std::move(made));
    return ValueId{graph.values.size() - 1};
  };
  for (const auto& [place, axis] : weights_of(graph)) {
    const ValueId weight = graph.state[place].value;
    const PrimitiveValue described = graph.values[weight.index];
    Int8 found = quantized(program.state[place], axis);
    PrimitiveValue wide{ElementType::kFloat, std::vector<Dimension>(described.sizes.size(), std::int64_t{1})};
    wide.sizes[axis] = described.sizes[axis];
    Ints others;
    for (std::size_t dim = 0; dim < described.sizes.size(); ++dim) {
      if (dim != axis) others.push_back(static_cast<std::int64_t>(dim));
    }
    std::vector<std::string> names = graph.state[place].names;
    for (std::string& name : names) name += "_scale";
    const ValueId scale = value({ElementType::kFloat, {described.sizes[axis]}});
    const ValueId cast = value(described);
    const ValueId unsqueezed = value(std::move(wide));
    const ValueId product = value(described);
    nodes.push_back({primitive::Cast{ElementType::kFloat}, {weight}, {cast}});
    nodes.push_back({primitive::Unsqueeze{std::move(others)}, {scale}, {unsqueezed}});
    nodes.push_back({primitive::Binary{primitive::Binary::Kind::kMultiply}, {cast, unsqueezed}, {product}});
    graph.values[weight.index].type = ElementType::kInt8;
    graph.state[place].trainable = false;
    graph.state.push_back({std::move(names), scale, false});
    program.state[place] = std::move(found.values);
    program.state.push_back(std::move(found.scales));
    replaced[weight] = product;
  }
  for (PrimitiveNode& node : graph.nodes) {
    for (ValueId& input : node.inputs) {
      if (const auto found = replaced.find(input); found != replaced.end()) input = found->second;
    }
  }
  graph.nodes.insert(graph.nodes.begin(), std::make_move_iterator(nodes.begin()), std::make_move_iterator(nodes.end()));
  return program;
}

}  // namespace lockstep
