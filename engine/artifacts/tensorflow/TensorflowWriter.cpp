#include "engine/artifacts/tensorflow/TensorflowWriter.h"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/primitives/PrimitiveDecompositions.h"
#include "engine/artifacts/tensorflow/TensorflowPrimitives.h"
#include "engine/artifacts/tensorflow/TensorflowTypes.h"

namespace lockstep {

namespace {

// Compositions that TensorFlow has no operator for.
template <typename Operation>
constexpr bool kComposed =
    std::is_same_v<Operation, primitive::LayerNorm> || std::is_same_v<Operation, primitive::Gelu>;

// What TensorFlow takes as the name of an argument.
std::string identifier(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool capital = c >= 'A' && c <= 'Z';
    result += letter ? c : capital ? static_cast<char>(c - 'A' + 'a') : '_';
  }
  return result.empty() || result[0] < 'a' ? "v" + result : result;
}

}  // namespace

std::vector<std::string> tensorflow_output_names(const std::vector<std::string>& names) {
  std::vector<std::string> written;
  for (const std::string& name : names) {
    std::string unique = identifier(name);
    while (std::ranges::find(written, unique) != written.end()) unique += "_";
    written.push_back(std::move(unique));
  }
  return written;
}

TensorflowWriter::TensorflowWriter(const PrimitiveGraph& graph, const Graph& program)
    : graph_(graph), program_(program) {
  for (const PrimitiveState& state : graph.state) state_[state.value] = &state;
  for (const PrimitiveNode& node : graph.nodes) {
    for (const ValueId output : node.outputs) producers_[output] = &node;
  }
}

const PrimitiveNode* TensorflowWriter::producer(ValueId id) const {
  const auto found = producers_.find(id);
  return found == producers_.end() ? nullptr : found->second;
}

// What was written before it was known that one operator stands for several.
void TensorflowWriter::remove_unused() {
  std::set<std::string> needed;
  const auto need = [&](const std::string& reference) { needed.insert(reference.substr(0, reference.find(':'))); };
  for (const TensorflowTensor& output : result_.function.outputs) need(output.reference);
  std::vector<TensorflowNode>& nodes = result_.function.nodes;
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    if (needed.contains(node->name)) std::ranges::for_each(node->inputs, need);
  }
  std::erase_if(nodes, [&](const TensorflowNode& node) { return !needed.contains(node.name); });
}

WrittenFunction TensorflowWriter::write(const PrimitiveGraph& given, const Graph& program) {
  const PrimitiveGraph graph = decompose(given, [&](const PrimitiveNode& node) {
    const auto* recurrent = std::get_if<primitive::Recurrent>(&node.operation);
    if (recurrent) return !has_recurrent_operator(*recurrent, given.values.at(node.inputs.at(0).index).type);
    return std::visit([]<typename Operation>(const Operation&) { return kComposed<Operation>; }, node.operation);
  });
  TensorflowWriter writer(graph, program);
  writer.write_inputs();
  for (const PrimitiveNode& node : graph.nodes) {
    PrimitiveCall call(writer, node);
    try {
      std::visit(
          [&]<typename Operation>(const Operation& operation) {
            if constexpr (!kComposed<Operation>) write_primitive(call, operation);
          },
          node.operation);
    } catch (const TensorflowRefusal& refusal) {
      writer.refuse(node, refusal.what());
    } catch (const std::out_of_range&) {  // a dimension that a value does not have
      writer.refuse(node, "its values have fewer dimensions than it needs");
    } catch (const std::bad_variant_access&) {
      writer.refuse(node, "a size that it needs is only known at run time");
    }
  }
  writer.write_outputs();
  writer.remove_unused();
  return std::move(writer.result_);
}

void TensorflowWriter::write_inputs() {
  for (const PrimitiveInterface& input : graph_.inputs) {
    const PrimitiveValue& value = graph_.values.at(input.value.index);
    const std::string argument = builder_.unique(identifier(input.name));
    result_.function.inputs.push_back({input.name, value.type, known_sizes(value.sizes), argument});
    values_[input.value] = {argument, value.type, value.sizes, in_order(value.sizes.size())};
  }
  std::ranges::sort(result_.function.inputs, {}, &TensorflowTensor::name);
}

// TensorFlow hands a dictionary's values over in the order of its keys.
void TensorflowWriter::write_outputs() {
  std::vector<TensorflowTensor>& outputs = result_.function.outputs;
  std::vector<std::string> names;
  for (const PrimitiveInterface& output : graph_.outputs) names.push_back(output.name);
  names = tensorflow_output_names(names);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const PrimitiveInterface& output = graph_.outputs[i];
    TensorflowValue value = builder_.row_major(this->value(output.value));
    if (value.reference.find(':') == std::string::npos) value = builder_.add("Identity", {value});  // an argument
    outputs.push_back({names[i], value.type, known_sizes(value.sizes), value.reference});
  }
  std::ranges::sort(outputs, {}, &TensorflowTensor::name);
  for (const std::string& name : names) {
    const auto place = std::ranges::find(outputs, name, &TensorflowTensor::name) - outputs.begin();
    result_.output_places.push_back(static_cast<std::size_t>(place));
  }
}

TensorflowValue TensorflowWriter::value(ValueId id, const Ints* axes) {
  auto found = values_.find(id);
  if (found == values_.end()) {
    const auto state = state_.find(id);
    if (state == state_.end()) throw InternalError("a value is read before it is computed");
    const std::size_t rank = graph_.values.at(id.index).sizes.size();
    found = values_.emplace(id, variable(*state->second, axes ? *axes : in_order(rank))).first;
  }
  return found->second;
}

TensorflowValue TensorflowWriter::variable(const PrimitiveState& state, const Ints& axes) {
  for (const std::string& name : state.names) {
    if (split(name, '.')[0] != "signatures") continue;
    throw InputError("a SavedModel has no place for " + in_quotes(name) + ": a loaded model's signatures are there");
  }
  const PrimitiveValue& value = graph_.values.at(state.value.index);
  const std::vector<Dimension> sizes = permute(value.sizes, axes);
  const std::string argument = builder_.unique(identifier(state.names.at(0)));
  result_.function.variables.push_back({state.names, value.type, known_sizes(sizes), state.trainable, argument});
  result_.variable_axes.push_back(axes);
  const std::string read = builder_.unique(argument + "_read");
  result_.function.nodes.push_back({read, "ReadVariableOp", {argument}, {{"dtype", value.type}}});
  return {read + ":" + output_name("ReadVariableOp") + ":0", value.type, sizes, axes};
}

void TensorflowWriter::bind(ValueId id, TensorflowValue value) {
  const PrimitiveValue& described = graph_.values.at(id.index);
  if (value.axes.size() != described.sizes.size()) throw InternalError("a value has other dimensions than it should");
  value.type = described.type;
  value.sizes = permute(described.sizes, value.axes);
  values_[id] = std::move(value);
}

void TensorflowWriter::refuse(const PrimitiveNode& node, const std::string& why) const {
  const std::string what = node.origin < program_.nodes.size() ? describe(program_.nodes[node.origin])
                                                               : "operation " + std::to_string(node.origin);
  throw InputError(what + " cannot be written into a TensorFlow SavedModel: " + why);
}

}  // namespace lockstep
