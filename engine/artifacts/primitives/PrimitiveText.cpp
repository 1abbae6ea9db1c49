#include "engine/artifacts/primitives/PrimitiveText.h"

#include <array>
#include <variant>

#include "common/Text.h"
#include "engine/artifacts/primitives/PrimitiveBuilder.h"

namespace lockstep {

namespace {

// In the order of the variants and enumerations.
constexpr std::array kOperations = {"Unary",          "Binary",
                                    "Select",         "Cast",
                                    "Constant",       "Size",
                                    "Range",          "Reshape",
                                    "Unsqueeze",      "Squeeze",
                                    "Broadcast",      "Transpose",
                                    "Slice",          "Reverse",
                                    "Concatenate",    "Pad",
                                    "Gather",         "GatherElements",
                                    "MatrixMultiply", "Linear",
                                    "Convolution",    "TransposedConvolution",
                                    "MaxPool",        "AveragePool",
                                    "Resize",         "Reduce",
                                    "ArgReduce",      "CumulativeSum",
                                    "TopK",           "Softmax",
                                    "BatchNorm",      "LayerNorm",
                                    "Gelu",           "Recurrent"};
static_assert(kOperations.size() == std::variant_size_v<primitive::Operation>);

constexpr std::array kUnary = {"Negative", "Absolute", "Sign", "Reciprocal", "Exp", "Expm1", "Log",     "Log1p",
                               "Sqrt",     "Rsqrt",    "Sin",  "Cos",        "Erf", "Tanh",  "Sigmoid", "Relu",
                               "Softplus", "Floor",    "Ceil", "Round",      "Not", "IsNan"};
static_assert(kUnary.size() == static_cast<std::size_t>(primitive::Unary::Kind::kIsNan) + 1);

constexpr std::array kBinary = {"Add",     "Subtract", "Multiply", "Power", "Divide",    "FloorDivide", "Remainder",
                                "Maximum", "Minimum",  "Equal",    "Less",  "LessEqual", "And",         "Or"};
static_assert(kBinary.size() == static_cast<std::size_t>(primitive::Binary::Kind::kOr) + 1);

constexpr std::array kReduce = {"Sum", "Mean", "Max", "Min", "Product", "Any", "All"};
static_assert(kReduce.size() == static_cast<std::size_t>(primitive::Reduce::Kind::kAll) + 1);

std::string value_name(ValueId id) { return "%" + std::to_string(id.index); }

std::string typed(const PrimitiveGraph& graph, ValueId id) {
  const PrimitiveValue& value = graph.values.at(id.index);
  std::vector<std::string> sizes;
  for (const Dimension& size : value.sizes) {
    const auto* known = std::get_if<std::int64_t>(&size);
    sizes.push_back(known ? std::to_string(*known) : std::get<std::string>(size));
  }
  return value_name(id) + " " + to_string(value.type) + "[" + join(sizes, ", ") + "]";
}

std::string node_text(const PrimitiveGraph& graph, const PrimitiveNode& node) {
  std::vector<std::string> outputs;
  for (const ValueId output : node.outputs) outputs.push_back(typed(graph, output));
  std::vector<std::string> inputs;
  for (const ValueId input : node.inputs) inputs.push_back(value_name(input));
  std::vector<std::string> integers;
  for (const Integer& integer : integers_of(node.operation)) {
    const auto* known = std::get_if<std::int64_t>(&integer);
    integers.push_back(known ? std::to_string(*known) : value_name(std::get<ValueId>(integer)));
  }
  if (const auto* transpose = std::get_if<primitive::Transpose>(&node.operation)) {
    for (const std::int64_t axis : transpose->axes) integers.push_back(std::to_string(axis));
  }
  std::string text = join(outputs, ", ") + " = " + operation_name(node.operation) + "(" + join(inputs, ", ") + ")";
  if (!integers.empty()) text += " [" + join(integers, ", ") + "]";
  return text + "\n";
}

}  // namespace

std::string operation_name(const primitive::Operation& operation) {
  const auto number = [](auto kind) { return static_cast<std::size_t>(kind); };
  if (const auto* unary = std::get_if<primitive::Unary>(&operation)) return kUnary.at(number(unary->kind));
  if (const auto* binary = std::get_if<primitive::Binary>(&operation)) return kBinary.at(number(binary->kind));
  const std::string name = kOperations.at(operation.index());
  if (const auto* reduce = std::get_if<primitive::Reduce>(&operation)) return name + kReduce.at(number(reduce->kind));
  return name;
}

std::string to_text(const PrimitiveGraph& graph) {
  std::string text;
  for (const PrimitiveInterface& input : graph.inputs) {
    text += typed(graph, input.value) + " = input " + in_quotes(input.name) + "\n";
  }
  for (const PrimitiveState& state : graph.state) {
    text += typed(graph, state.value) + " = state " + in_quotes(join(state.names, ", ")) + "\n";
  }
  for (const PrimitiveNode& node : graph.nodes) text += node_text(graph, node);
  for (const PrimitiveInterface& output : graph.outputs) {
    text += "output " + in_quotes(output.name) + " = " + value_name(output.value) + "\n";
  }
  return text;
}

}  // namespace lockstep
