#include "engine/artifacts/tensorflow/TensorflowLowering.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/tensorflow/TensorflowOperators.h"
#include "engine/program/Aliases.h"

namespace lockstep {

namespace {

using Ints = TensorflowLowering::Ints;

const Ints kToChannelsLast = {0, 2, 3, 1};
const Ints kToRowMajor = {0, 3, 1, 2};

Ints identity(std::size_t rank) {
  Ints axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

template <typename T>
std::vector<T> permute(const std::vector<T>& values, const Ints& axes) {
  std::vector<T> permuted;
  for (const std::int64_t axis : axes) permuted.push_back(values.at(static_cast<std::size_t>(axis)));
  return permuted;
}

Ints known_sizes(const std::vector<Dimension>& sizes) {
  Ints known;
  for (const Dimension& size : sizes) {
    const auto* number = std::get_if<std::int64_t>(&size);
    known.push_back(number ? *number : -1);
  }
  return known;
}

bool is_one(const Dimension& size) { return size == Dimension(std::int64_t{1}); }

// One channel, or one pixel: NCHW and NHWC are the same bytes.
bool same_in_both_orders(const std::vector<Dimension>& sizes) {
  return is_one(sizes[1]) || (is_one(sizes[2]) && is_one(sizes[3]));
}

// What TensorFlow takes as the name of an argument or a node.
std::string identifier(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool capital = c >= 'A' && c <= 'Z';
    result += letter ? c : capital ? static_cast<char>(c - 'A' + 'a') : '_';
  }
  return result.empty() || result[0] < 'a' ? "v" + result : result;
}

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace

LoweredFunction TensorflowLowering::lower(const Graph& graph, const TiedNames& tied) {
  TensorflowLowering lowering(graph, tied);
  lowering.lower_inputs();
  std::map<const Node*, std::string> lost;  // writes by a node in place → under which other name they are read
  for (const AliasedWrite& write : aliased_writes(graph)) lost[write.node] = write.name;
  for (const Node& node : graph.nodes) {
    const LowerOperator translate = find_tensorflow_lowering(node.target);
    if (translate == nullptr) lowering.refuse(node, "it has no translation");
    if (const auto write = lost.find(&node); write != lost.end()) {
      lowering.refuse(node, "it changes in place what is read later as " + in_quotes(write->second));
    }
    try {
      translate(lowering, node);
    } catch (const std::out_of_range&) {  // a dimension that a value does not have
      lowering.refuse(node, "its values have fewer dimensions than it needs");
    }
  }
  lowering.lower_outputs();
  return std::move(lowering.result_);
}

void TensorflowLowering::lower_inputs() {
  for (const GraphInput& input : graph_.inputs) {
    if (input.kind != InputKind::kUserInput) {
      state_inputs_[input.value] = &input;
      continue;
    }
    const ElementType type = element_type(input.value);
    const std::vector<Dimension> sizes = graph_.sizes(input.value);
    const std::string argument = unique(identifier(input.value));
    result_.function.inputs.push_back({input.value, type, known_sizes(sizes), argument});
    values_[input.value] = {argument, type, sizes};
  }
  std::ranges::sort(result_.function.inputs, {}, &TensorflowTensor::name);
}

// TensorFlow hands a dictionary's values over in the order of its keys.
void TensorflowLowering::lower_outputs() {
  std::vector<TensorflowTensor>& outputs = result_.function.outputs;
  std::vector<std::string> names = graph_.output_names();
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const auto found = values_.find(graph_.outputs[i]);
    if (found == values_.end()) {
      throw InputError("a SavedModel cannot return " + in_quotes(graph_.outputs[i]) + ", which no operator computes");
    }
    const Value value = row_major(found->second);
    names[i] = identifier(names[i]);
    while (std::ranges::find(outputs, names[i], &TensorflowTensor::name) != outputs.end()) names[i] += "_";
    outputs.push_back({names[i], value.type, known_sizes(value.sizes), value.reference});
  }
  std::ranges::sort(outputs, {}, &TensorflowTensor::name);
  for (const std::string& name : names) {
    const auto place = std::ranges::find(outputs, name, &TensorflowTensor::name) - outputs.begin();
    result_.output_places.push_back(static_cast<std::size_t>(place));
  }
}

std::optional<TensorflowLowering::Value> TensorflowLowering::find(const Node& node, std::string_view argument) {
  const std::string name = node.tensor(argument);
  if (name.empty()) return std::nullopt;
  if (const auto value = values_.find(name); value != values_.end()) return value->second;
  const auto input = state_inputs_.find(name);
  if (input == state_inputs_.end()) refuse(node, "it reads " + in_quotes(name) + ", which nothing computes");
  return state(*input->second, identity(graph_.sizes(name).size()));
}

TensorflowLowering::Value TensorflowLowering::tensor(const Node& node, std::string_view argument) {
  std::optional<Value> value = find(node, argument);
  if (!value) refuse(node, "its argument " + std::string(argument) + " is no tensor");
  return *std::move(value);
}

TensorflowLowering::Value TensorflowLowering::permuted(const Node& node, std::string_view argument, const Ints& axes) {
  const std::string name = node.tensor(argument);
  if (const auto input = state_inputs_.find(name); input != state_inputs_.end() && !values_.contains(name)) {
    return state(*input->second, axes);
  }
  return transpose(row_major(tensor(node, argument)), axes);
}

Ints TensorflowLowering::ints(const Node& node, std::string_view argument) const {
  const Argument* given = node.find(argument);
  if (!given || std::holds_alternative<NoneArgument>(*given)) return {};
  if (const auto* one = std::get_if<std::int64_t>(given)) return {*one};
  if (const auto* list = std::get_if<Ints>(given)) return *list;
  if (const auto* list = std::get_if<std::vector<SymInt>>(given)) {
    Ints known;
    for (const SymInt& item : *list) {
      const auto* number = std::get_if<std::int64_t>(&item);
      if (!number) refuse(node, "its " + std::string(argument) + " is only known at run time");
      known.push_back(*number);
    }
    return known;
  }
  refuse(node, "its " + std::string(argument) + " is no list of integers");
}

Ints TensorflowLowering::pair(const Node& node, std::string_view argument, const Ints& otherwise) const {
  Ints values = ints(node, argument);
  if (values.empty()) return otherwise;
  if (values.size() == 1) values.push_back(values[0]);
  if (values.size() != 2) refuse(node, "its " + std::string(argument) + " has more than two values");
  return values;
}

double TensorflowLowering::number(const Node& node, std::string_view argument, double otherwise) const {
  const Argument* given = node.find(argument);
  if (!given) return otherwise;
  if (const auto* value = std::get_if<double>(given)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(given)) return static_cast<double>(*value);
  refuse(node, "its " + std::string(argument) + " is no number known beforehand");
}

bool TensorflowLowering::flag(const Node& node, std::string_view argument, bool otherwise) const {
  const Argument* given = node.find(argument);
  const auto* value = given ? std::get_if<bool>(given) : nullptr;
  return value ? *value : otherwise;
}

std::vector<Dimension> TensorflowLowering::output_sizes(const Node& node) const {
  if (node.output().empty()) refuse(node, "it does not return one tensor");
  return graph_.sizes(node.output());
}

void TensorflowLowering::refuse(const Node& node, const std::string& why) const {
  throw InputError(describe(node) + " cannot be written into a TensorFlow SavedModel: " + why +
                   ". Leave saved_model out of the hyperparameter export to train without that artifact");
}

TensorflowLowering::Value TensorflowLowering::reordered(Value value, bool channels_last) {
  if (value.channels_last == channels_last) return value;
  if (value.sizes.size() != 4) throw InternalError("only images have an order of channels");
  const Ints known = known_sizes(channels_last ? permute(value.sizes, kToChannelsLast) : value.sizes);
  const std::vector<Dimension> sizes = value.sizes;
  if (same_in_both_orders(sizes) && std::ranges::count(known, -1) <= 1) {
    value = reshape_to(value, known);
  } else {
    value = transpose(value, channels_last ? kToChannelsLast : kToRowMajor);
  }
  value.sizes = sizes;
  value.channels_last = channels_last;
  return value;
}

TensorflowLowering::Value TensorflowLowering::transpose(const Value& value, const Ints& axes) {
  if (axes == identity(axes.size())) return value;
  Value result = add("Transpose", {value, constant(axes, {static_cast<std::int64_t>(axes.size())})},
                     {{"Tperm", ElementType::kInt32}});
  result.sizes = permute(value.sizes, axes);
  return result;
}

TensorflowLowering::Value TensorflowLowering::state(const GraphInput& input, const Ints& axes) {
  const auto standing = tied_.find(input.state_name);
  const std::string& name = standing == tied_.end() ? input.state_name : standing->second;
  auto variable = variables_.find(name);
  if (variable == variables_.end()) {
    const std::vector<Dimension> sizes = permute(graph_.sizes(input.value), axes);
    const ElementType type = element_type(input.value);
    std::vector<std::string> names = {name};
    for (const auto& [tied, stands_for] : tied_) {
      if (stands_for == name && tied != name) names.push_back(tied);
    }
    for (const std::string& each : names) {
      if (split(each, '.')[0] != "signatures") continue;
      throw InputError("a SavedModel has no place for " + in_quotes(each) + ": a loaded model's signatures are there");
    }
    const bool trainable = input.kind == InputKind::kParameter && graph_.requires_grad(input.value);
    const std::string argument = unique(identifier(name));
    result_.function.variables.push_back({std::move(names), type, known_sizes(sizes), trainable, argument});
    result_.variable_axes.push_back(axes);
    const std::string read = unique(argument + "_read");
    result_.function.nodes.push_back({read, "ReadVariableOp", {argument}, {{"dtype", type}}});
    const Value value{read + ":" + output_name("ReadVariableOp") + ":0", type, sizes};
    variable = variables_.emplace(name, std::pair(value, axes)).first;
  }
  const auto& [value, stored] = variable->second;
  Ints between;
  for (const std::int64_t axis : axes) between.push_back(std::ranges::find(stored, axis) - stored.begin());
  return transpose(value, between);
}

TensorflowLowering::Value TensorflowLowering::add(const std::string& op, const std::vector<Value>& inputs,
                                                  TensorflowAttributes attributes) {
  Value result = inputs.at(0);
  attributes.emplace("T", result.type);
  result.grouped = result.grouped && (op == "Reshape" || op == "Transpose");
  TensorflowNode node{unique(op), op, {}, std::move(attributes)};
  for (const Value& input : inputs) node.inputs.push_back(input.reference);
  result.reference = node.name + ":" + output_name(op) + ":0";
  result_.function.nodes.push_back(std::move(node));
  return result;
}

TensorflowLowering::Value TensorflowLowering::sum(const Node& node, Value a, Value b) {
  if (a.type != b.type || (a.type != ElementType::kFloat && a.type != ElementType::kDouble)) {
    refuse(node, "only sums of two tensors of the same floating-point type are supported");
  }
  if (broadcast_runs(known_sizes(a.sizes), known_sizes(b.sizes)) > kMaxBroadcastRuns) {
    refuse(node, "TensorFlow does not broadcast sums whose dimensions alternate so often");
  }
  const bool images = a.sizes.size() == 4 && b.sizes.size() == 4;
  if (!b.sizes.empty() && !a.sizes.empty() && (a.channels_last || b.channels_last)) {
    a = images ? channels_last(a) : row_major(a);
    b = images ? channels_last(b) : row_major(b);
  }
  Value result = add("AddV2", {a, b});
  result.channels_last = a.channels_last || b.channels_last;
  return result;
}

TensorflowLowering::Value TensorflowLowering::constant(const Ints& values, Ints sizes) {
  for (const std::int64_t value : values) {
    if (value == static_cast<std::int32_t>(value)) continue;
    throw InputError("a SavedModel's sizes are of 32 bits, and the program has one of " + std::to_string(value));
  }
  return constant(
      {ElementType::kInt32, std::move(sizes), bytes_of(std::vector<std::int32_t>(values.begin(), values.end()))});
}

TensorflowLowering::Value TensorflowLowering::constant(double number, ElementType type) {
  return constant({type,
                   {},
                   type == ElementType::kDouble ? bytes_of(std::vector{number})
                                                : bytes_of(std::vector{static_cast<float>(number)})});
}

TensorflowLowering::Value TensorflowLowering::constant(const TensorflowConstant& value) {
  const std::string name = unique("Const");
  result_.function.nodes.push_back({name, "Const", {}, {{"dtype", value.type}, {"value", value}}});
  return {name + ":" + output_name("Const") + ":0", value.type, {}};
}

TensorflowLowering::Value TensorflowLowering::reshape_to(const Value& value, const Ints& sizes) {
  return add("Reshape", {value, constant(sizes, {static_cast<std::int64_t>(sizes.size())})},
             {{"Tshape", ElementType::kInt32}});
}

// Throws InputError for a type that a SavedModel of ours cannot hold.
ElementType TensorflowLowering::element_type(const std::string& value) const {
  const auto type = static_cast<ElementType>(graph_.scalar_type(value));
  size_of(type);
  return type;
}

TensorflowLowering::Value TensorflowLowering::reshape(const Node& node, const Value& value,
                                                      const std::vector<Dimension>& sizes) {
  const Ints known = known_sizes(sizes);
  if (std::ranges::count(known, -1) > 1) refuse(node, "more than one size is only known at run time");
  Value result = reshape_to(row_major(value), known);
  result.sizes = sizes;
  return result;
}

void TensorflowLowering::bind(const Node& node, Value value) {
  value.sizes = output_sizes(node);
  if (node.in_place()) values_[node.tensor("self")] = value;
  values_[node.output()] = std::move(value);
}

std::string TensorflowLowering::unique(const std::string& name) {
  std::string candidate = name;
  for (int i = 1; !names_.insert(candidate).second; ++i) candidate = name + "_" + std::to_string(i);
  return candidate;
}

}  // namespace lockstep
