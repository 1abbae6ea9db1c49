#include "engine/program/GraphBuilder.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <torch/version.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/TorchError.h"

namespace lockstep {

using nlohmann::json;

namespace {

constexpr const char* kBatch = "s0";
constexpr const char* kLength = "s1";
constexpr std::int64_t kExampleBatch = 2;

constexpr std::array<std::string_view, 36> kPythonsWords = {
    "False",    "None",     "True",   "and",    "as",   "assert", "async",  "await", "break",
    "class",    "continue", "def",    "del",    "elif", "else",   "except", "for",   "from",
    "global",   "if",       "import", "in",     "is",   "lambda", "not",    "or",    "finally",
    "nonlocal", "pass",     "raise",  "return", "try",  "while",  "with",   "yield", "self"};

bool is_python_name(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); }) &&
         std::ranges::find(kPythonsWords, name) == kPythonsWords.end();
}

// `factor` times a symbol, as the exporter writes expressions (sympy.srepr). `hint`: the symbol's size in the example.
json expression(const char* symbol, std::int64_t hint, std::int64_t factor = 1) {
  const std::string name = std::string("Symbol('") + symbol + "', positive=True, integer=True)";
  return {{"expr_str", factor == 1 ? name : "Mul(Integer(" + std::to_string(factor) + "), " + name + ")"},
          {"hint", {{"as_int", hint * factor}}}};
}

// A program calls one module: its inputs are its positional arguments and it returns one tensor.
json module_call_graph(const std::vector<std::string>& names) {
  const json leaf = {{"type", nullptr}, {"context", nullptr}, {"children_spec", json::array()}};
  const json tuple = {{"type", "builtins.tuple"}, {"context", "null"}, {"children_spec", json(names.size(), leaf)}};
  const json dict = {{"type", "builtins.dict"}, {"context", "[]"}, {"children_spec", json::array()}};
  const json arguments = {{"type", "builtins.tuple"}, {"context", "null"}, {"children_spec", {tuple, dict}}};
  const json signature = {{"inputs", json::array()},
                          {"outputs", json::array()},
                          {"in_spec", json::array({1, arguments}).dump()},
                          {"out_spec", json::array({1, leaf}).dump()},
                          {"forward_arg_names", names}};
  return json::array({{{"fqn", ""}, {"signature", signature}}});
}

}  // namespace

GraphBuilder::GraphBuilder(std::uint64_t seed) : generator_(at::detail::createCPUGenerator(seed)) {}

std::string GraphBuilder::unused_name(const std::string& base) {
  std::string name;
  do {
    const int uses = name_uses_[base]++;
    name = uses == 0 ? base : base + "_" + std::to_string(uses);
  } while (tensor_values_.contains(name) || size_values_.contains(name));
  return name;
}

void GraphBuilder::describe(const std::string& name, const Result& result, bool requires_grad) {
  json sizes = json::array();
  json strides = json::array();
  std::int64_t stride = 1;
  bool long_stride = false;  // times the open length
  for (std::size_t i = result.sizes.size(); i-- > 0;) {
    const std::int64_t size = result.sizes[i];
    sizes.push_back(size == kOpen ? json{{"as_expr", expression(kLength, longest_)}} : json{{"as_int", size}});
    strides.push_back(long_stride ? json{{"as_expr", expression(kLength, longest_, stride)}}
                                  : json{{"as_int", stride}});
    if (size == kOpen) {
      long_stride = true;
    } else {
      stride *= size;
    }
  }
  if (result.batched) {
    sizes.push_back({{"as_expr", expression(kBatch, kExampleBatch)}});
    strides.push_back(long_stride ? json{{"as_expr", expression(kLength, longest_, stride)}}
                                  : json{{"as_int", stride}});
  }
  std::ranges::reverse(sizes);
  std::ranges::reverse(strides);
  tensor_values_[name] = {{"dtype", scalar_type_to_archive(result.type)},
                          {"sizes", sizes},
                          {"requires_grad", requires_grad},
                          {"device", {{"type", "cpu"}, {"index", nullptr}}},
                          {"strides", strides},
                          {"storage_offset", {{"as_int", 0}}},
                          {"layout", 7}};
}

GraphBuilder::Value GraphBuilder::state(const std::string& name, InputKind kind, const at::Tensor& tensor) {
  const bool trained = kind == InputKind::kParameter;
  std::string value = (trained ? "p_" : "b_") + name;
  std::ranges::replace(value, '.', '_');
  value = unused_name(value);
  Sizes sizes = tensor.sizes().vec();
  describe(value, {.sizes = sizes, .batched = false, .type = tensor.scalar_type()}, trained);
  state_inputs_.push_back({kind, value, name, true});
  state_[name] = tensor;
  return {.name = value, .sizes = std::move(sizes), .batched = false};
}

GraphBuilder::Value GraphBuilder::parameter(const std::string& name, const Sizes& sizes, const Initial& initial) {
  try {
    at::Tensor tensor = at::empty(sizes);
    initial(tensor, generator_);
    return state(name, InputKind::kParameter, tensor.set_requires_grad(true));
  } catch (const c10::Error& error) {
    rethrow(error, "the parameter " + name + " of " + join(sizes, " × ") + " numbers cannot be made");
  }
}

GraphBuilder::Value GraphBuilder::buffer(const std::string& name, const at::Tensor& tensor) {
  return state(name, InputKind::kBuffer, tensor);
}

GraphBuilder::Value GraphBuilder::tied(const std::string& name, const Value& parameter) {
  const auto known = std::ranges::find(state_inputs_, parameter.name, &GraphInput::value);
  return state(name, InputKind::kParameter, state_.at(known->state_name));
}

GraphBuilder::Value GraphBuilder::input(const std::string& name, Sizes sizes, at::ScalarType type) {
  if (!is_python_name(name) || tensor_values_.contains(name)) {
    throw InputError(in_quotes(name) +
                     " cannot be the name of an input: it is another input's, or none that Python takes (letters, "
                     "digits and _, but for Python's own words); give it another name with fields or columns");
  }
  user_inputs_.push_back({.name = unused_name(name), .sizes = sizes});
  describe(name, {.sizes = std::move(sizes), .type = type}, false);
  return user_inputs_.back();
}

NamedArgument GraphBuilder::tensor(const std::string& argument, const Value& value) {
  return {argument, TensorName{value.name}, false};
}

GraphBuilder::Value GraphBuilder::node(const std::string& op, std::vector<NamedArgument> inputs, Result result) {
  const std::string name = unused_name(op.substr(0, op.find('.')));
  describe(name, result, false);
  nodes_.push_back({.target = "torch.ops.aten." + op,
                    .inputs = std::move(inputs),
                    .outputs = {TensorName{name}},
                    .metadata = json::object(),
                    .name = name});
  return {.name = name, .sizes = std::move(result.sizes), .batched = result.batched};
}

SymInt GraphBuilder::size(std::int64_t size) { return size == kOpen ? found_size(kLength) : SymInt(size); }

SymInt GraphBuilder::batch_size() { return found_size(kBatch); }

SymInt GraphBuilder::found_size(const std::string& symbol) {
  if (const auto known = found_sizes_.find(symbol); known != found_sizes_.end()) return known->second;
  for (const Value& input : user_inputs_) {
    const auto length = std::ranges::find(input.sizes, kOpen);
    if (symbol == kLength && length == input.sizes.end()) continue;
    const std::int64_t dimension = symbol == kBatch ? 0 : 1 + (length - input.sizes.begin());
    const std::string name = unused_name("sym_size_int");
    size_values_[name] = tensor_values_.at(input.name).at("sizes").at(static_cast<std::size_t>(dimension));
    nodes_.push_back({.target = "torch.ops.aten.sym_size.int",
                      .inputs = {tensor("self", input), {"dim", dimension, false}},
                      .outputs = {SymInt(name)},
                      .metadata = json::object(),
                      .name = name});
    return found_sizes_[symbol] = name;
  }
  throw InternalError("no input has the size " + symbol);
}

Program GraphBuilder::build(const std::string& name, const Value& output) {
  // torch.export lists parameters before buffers, and the user's inputs last.
  std::ranges::stable_sort(state_inputs_, {}, &GraphInput::kind);
  Graph graph;
  graph.inputs = state_inputs_;
  std::vector<std::string> names;
  for (const Value& input : user_inputs_) {
    names.push_back(input.name);
    graph.inputs.push_back({InputKind::kUserInput, input.name, "", true});
  }
  graph.outputs = {output.name};
  graph.nodes = nodes_;
  json ranges = {{kBatch, {{"min_val", 1}, {"max_val", nullptr}}}};
  if (longest_ > 0) ranges[kLength] = {{"min_val", 1}, {"max_val", longest_}};
  const json body = {{"tensor_values", tensor_values_},     {"sym_int_values", size_values_},
                     {"sym_bool_values", json::object()},   {"sym_float_values", json::object()},
                     {"custom_obj_values", json::object()}, {"is_single_tensor_return", false}};
  graph.document = {{"graph_module",
                     {{"graph", body},
                      {"module_call_graph", module_call_graph(names)},
                      {"metadata", json::object()},
                      {"treespec_namedtuple_fields", json::object()}}},
                    {"opset_version", {{"aten", 10}}},
                    {"range_constraints", ranges},
                    {"schema_version", {{"major", 8}, {"minor", 17}}},
                    {"verifiers", {"TRAINING"}},
                    {"torch_version", TORCH_VERSION},
                    {"guards_code", json::array()}};
  return Program(name, std::move(graph), state_);
}

}  // namespace lockstep
