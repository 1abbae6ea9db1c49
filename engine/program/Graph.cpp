#include "engine/program/Graph.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/OutputPaths.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

// Where the document describes values: by name, what the exporter saw of each.
template <typename Json>
Json& tensor_values(Json& document) {
  return document.at("graph_module").at("graph").at("tensor_values");
}

const json& tensor_value(const Graph& graph, const std::string& value) {
  const json& values = tensor_values(graph.document);
  const auto found = values.find(value);
  if (found == values.end()) throw InputError("the program has no entry for the tensor " + in_quotes(value));
  return *found;
}

// "Symbol('s77', positive=True, integer=True)" → "s77"; any other expression stays as it is.
std::string symbol_name(const std::string& expression) {
  constexpr std::string_view prefix = "Symbol('";
  if (!expression.starts_with(prefix)) return expression;
  return expression.substr(prefix.size(), expression.find('\'', prefix.size()) - prefix.size());
}

void add_tensors(const Argument& argument, std::vector<std::string>& names) {
  if (const auto* one = std::get_if<TensorName>(&argument)) names.push_back(one->name);
  if (const auto* many = std::get_if<TensorNames>(&argument)) {
    for (const auto& entry : many->names) {
      if (entry) names.push_back(*entry);
    }
  }
}

}  // namespace

std::string FixedEntry::name() const {
  const json& inner = specification.begin().value();
  return inner.is_object() && inner.contains("name") && inner.at("name").is_string() ? inner.at("name") : json("");
}

const Argument* Node::find(std::string_view argument) const {
  const auto found = std::ranges::find(inputs, argument, &NamedArgument::name);
  return found == inputs.end() ? nullptr : &found->value;
}

void Node::set(std::string_view argument, Argument value) {
  const auto found = std::ranges::find(inputs, argument, &NamedArgument::name);
  if (found != inputs.end()) {
    found->value = std::move(value);
  } else {
    inputs.push_back({.name = std::string(argument), .value = std::move(value), .keyword = true});
  }
}

std::string Node::aten_name() const {
  const std::vector<std::string> parts = split(target, '.');  // torch.ops.aten.conv2d.default
  return parts.size() == 5 && parts[2] == "aten" ? parts[3] : "";
}

bool Node::in_place() const {
  const std::string name = target.substr(0, target.rfind('.'));
  if (!name.ends_with("__")) return name.ends_with("_");
  return std::ranges::any_of(std::array{".__iand__", ".__ior__", ".__ixor__", ".__ilshift__", ".__irshift__"},
                             [&](const char* operation) { return name.ends_with(operation); });
}

bool Node::asserts_metadata() const { return aten_name() == "_assert_tensor_metadata"; }

std::string Node::tensor(std::string_view argument) const {
  const Argument* found = find(argument);
  const auto* tensor = found ? std::get_if<TensorName>(found) : nullptr;
  return tensor ? tensor->name : "";
}

std::vector<std::string> Node::tensors() const {
  std::vector<std::string> read;
  for (const NamedArgument& input : inputs) add_tensors(input.value, read);
  return read;
}

std::string Node::output() const {
  const auto* one = outputs.size() == 1 ? std::get_if<TensorName>(&outputs[0]) : nullptr;
  return one ? one->name : "";
}

std::vector<std::string> Node::results() const {
  std::vector<std::string> made;
  for (const Argument& output : outputs) add_tensors(output, made);
  return made;
}

std::string Node::source_line() const {
  if (!metadata.is_object() || !metadata.contains("stack_trace") || !metadata.at("stack_trace").is_string()) return "";
  // Pairs of lines: File "model.py", line 7, in forward / <the code>. The user's own frames come first and torch's
  // modules last; the innermost frame outside torch is the line the user can change.
  const std::string trace = metadata.at("stack_trace");
  std::string best;
  for (std::size_t at = trace.find("File \""); at != std::string::npos; at = trace.find("File \"", at + 1)) {
    const std::size_t end = trace.find('\n', at);
    const std::string frame = trace.substr(at, end - at);
    if (best.empty() || frame.find("/torch/nn/") == std::string::npos) best = frame;
  }
  return best;
}

std::string at_source_line(const Node& node) {
  const std::string line = node.source_line();
  return line.empty() ? "" : " (" + line + ")";
}

std::string describe(const Node& node) { return "operator " + node.target + at_source_line(node); }

std::vector<Dimension> Graph::sizes(const std::string& value) const {
  std::vector<Dimension> dimensions;
  for (const json& size : tensor_value(*this, value).at("sizes")) {
    if (size.contains("as_int")) {
      dimensions.emplace_back(read_int(size.at("as_int")));
    } else {
      dimensions.emplace_back(symbol_name(size.at("as_expr").at("expr_str")));
    }
  }
  return dimensions;
}

std::optional<std::vector<Dimension>> Graph::find_sizes(const std::string& value) const {
  if (!tensor_values(document).contains(value)) return std::nullopt;
  return sizes(value);
}

std::vector<std::int64_t> Graph::example_sizes(const std::string& value) const {
  std::vector<std::int64_t> known;
  for (const json& size : tensor_value(*this, value).at("sizes")) {
    try {
      known.push_back(read_int((size.contains("as_int") ? size : size.at("as_expr").at("hint")).at("as_int"), 0,
                               std::numeric_limits<std::int64_t>::max()));
    } catch (const json::exception&) {
      throw InputError("the program does not say how large " + in_quotes(value) + " was in the example");
    }
  }
  return known;
}

int Graph::scalar_type(const std::string& value) const { return tensor_value(*this, value).at("dtype"); }

bool Graph::requires_grad(const std::string& value) const {
  return tensor_value(*this, value).at("requires_grad").get<bool>();
}

void Graph::forget(const std::string& value) { tensor_values(document).erase(value); }

void Graph::describe_as(const std::string& value, const std::string& other) {
  const json description = tensor_value(*this, other);
  tensor_values(document)[value] = description;
}

void Graph::describe_as(const std::string& value, const std::string& other, int type,
                        const std::vector<std::size_t>& order) {
  json description = tensor_value(*this, other);
  json sizes = json::array();
  json strides = json::array();
  for (const std::size_t dim : order) {
    sizes.push_back(description.at("sizes").at(dim));
    strides.push_back(description.at("strides").at(dim));
  }
  description["sizes"] = std::move(sizes);
  description["strides"] = std::move(strides);
  description["dtype"] = type;
  tensor_values(document)[value] = std::move(description);
}

void Graph::describe(const std::string& value, int type, const std::vector<std::int64_t>& sizes) {
  constexpr int kStrided = 7;
  json described = json::array();
  json strides = json::array();
  std::int64_t stride = 1;
  for (auto size = sizes.rbegin(); size != sizes.rend(); stride *= *size++) {
    described.insert(described.begin(), json::object({{"as_int", *size}}));
    strides.insert(strides.begin(), json::object({{"as_int", stride}}));
  }
  tensor_values(document)[value] = {{"dtype", type},          {"sizes", described},
                                    {"requires_grad", false}, {"device", {{"type", "cpu"}, {"index", nullptr}}},
                                    {"strides", strides},     {"storage_offset", {{"as_int", 0}}},
                                    {"layout", kStrided}};
}

void Graph::name_outputs(const std::vector<std::string>& names) {
  if (names.size() != outputs.size()) throw InternalError("each output needs a name");
  fixed_outputs.clear();
  for (json& call : document.at("graph_module").at("module_call_graph")) {
    if (call.at("fqn") == "") call["signature"]["out_spec"] = dictionary_spec(names);
  }
}

void Graph::retype(int from, int to) {
  for (json& value : tensor_values(document)) {
    if (value.at("dtype") == from) value["dtype"] = to;
  }
}

std::vector<std::string> Graph::output_names() const {
  std::vector<std::string> paths = output_paths(document);
  for (auto fixed = fixed_outputs.rbegin(); fixed != fixed_outputs.rend(); ++fixed) {
    if (fixed->position < paths.size()) paths.erase(paths.begin() + static_cast<std::ptrdiff_t>(fixed->position));
  }
  if (paths.size() == outputs.size()) return paths;
  paths.clear();
  for (std::size_t i = 0; i < outputs.size(); ++i) paths.push_back("output_" + std::to_string(i));
  return paths;
}

std::vector<const GraphInput*> Graph::user_inputs() const {
  std::vector<const GraphInput*> found;
  for (const GraphInput& input : inputs) {
    if (input.kind == InputKind::kUserInput) found.push_back(&input);
  }
  return found;
}

}  // namespace lockstep
