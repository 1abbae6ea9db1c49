#include "engine/program/GraphFormat.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/Regions.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

// The exporter writes non-finite floats as texts.
double read_float(const json& value) {
  if (!value.is_string()) return value.get<double>();
  const std::string text = value;
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  throw InputError("expected a number, found " + in_quotes(text));
}

json write_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

SymInt read_sym_int(const json& value) {
  if (value.contains("as_name")) return value.at("as_name").get<std::string>();
  return read_int(value.at("as_int"));
}

std::vector<std::int64_t> read_ints(const json& values) {
  std::vector<std::int64_t> ints;
  for (const json& value : values) ints.push_back(read_int(value));
  return ints;
}

int read_number(const json& value) { return static_cast<int>(read_int(value, 0, 1000)); }

json write_sym_int(const SymInt& value) {
  if (const auto* name = std::get_if<std::string>(&value)) return {{"as_name", *name}};
  return {{"as_int", std::get<std::int64_t>(value)}};
}

// The exporter's form of an argument, {"as_int": 3}, as people say it.
std::string in_words(const json& argument) {
  if (!argument.is_object()) return std::string("a JSON ") + argument.type_name();
  if (argument.size() != 1) return std::to_string(argument.size()) + " kinds at once";
  const std::string kind = argument.begin().key();
  const json& value = argument.begin().value();
  if (kind == "as_none") return "None";
  if (kind == "as_bool" && value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if ((kind == "as_int" || kind == "as_float") && value.is_number()) return "the number " + value.dump();
  if (kind == "as_string" && value.is_string()) return "the text " + in_quotes(value.get<std::string>());
  if (kind == "as_tensor") return "a tensor";
  std::string what = kind.starts_with("as_") ? kind.substr(3) : kind;
  std::ranges::replace(what, '_', ' ');
  return "of kind " + in_quotes(what);
}

Argument read_argument(const json& argument) {
  if (!argument.is_object() || argument.size() != 1) {
    throw InputError("expected an argument of one kind, found " + in_words(argument));
  }
  const std::string kind = argument.begin().key();
  const json& value = argument.begin().value();
  if (kind == "as_none") return NoneArgument{};
  if (kind == "as_tensor") return TensorName{value.at("name")};
  if (kind == "as_optional_tensor") {
    if (value.contains("as_none")) return NoneArgument{};
    return TensorName{value.at("as_tensor").at("name")};
  }
  if (kind == "as_tensors" || kind == "as_optional_tensors") {
    TensorNames tensors{.names = {}, .optional_entries = kind == "as_optional_tensors"};
    for (const json& entry : value) {
      if (!tensors.optional_entries) {
        tensors.names.emplace_back(entry.at("name").get<std::string>());
      } else if (entry.contains("as_none")) {
        tensors.names.emplace_back();
      } else {
        tensors.names.emplace_back(entry.at("as_tensor").at("name").get<std::string>());
      }
    }
    return tensors;
  }
  if (kind == "as_int") return read_int(value);
  if (kind == "as_ints") return read_ints(value);
  if (kind == "as_float") return read_float(value);
  if (kind == "as_floats") {
    std::vector<double> floats;
    for (const json& entry : value) floats.push_back(read_float(entry));
    return floats;
  }
  if (kind == "as_bool") return value.get<bool>();
  if (kind == "as_bools") return value.get<std::vector<bool>>();
  if (kind == "as_string") return value.get<std::string>();
  if (kind == "as_sym_int") return read_sym_int(value);
  if (kind == "as_sym_ints") {
    std::vector<SymInt> ints;
    for (const json& entry : value) ints.push_back(read_sym_int(entry));
    return ints;
  }
  if (kind == "as_scalar_type") return ScalarTypeNumber{read_number(value)};
  if (kind == "as_layout") return LayoutNumber{read_number(value)};
  if (kind == "as_memory_format") return MemoryFormatNumber{read_number(value)};
  if (kind == "as_device") {
    DeviceArgument device{.type = value.at("type"), .index = std::nullopt};
    if (value.contains("index") && !value.at("index").is_null()) device.index = read_int(value.at("index"));
    return device;
  }
  return OpaqueArgument{argument};
}

json write_tensors(const TensorNames& tensors) {
  json list = json::array();
  for (const auto& name : tensors.names) {
    if (!tensors.optional_entries) {
      list.push_back({{"name", name.value_or("")}});
    } else if (name) {
      list.push_back({{"as_tensor", {{"name", *name}}}});
    } else {
      list.push_back({{"as_none", true}});
    }
  }
  return {{tensors.optional_entries ? "as_optional_tensors" : "as_tensors", list}};
}

struct ArgumentWriter {
  json operator()(const NoneArgument&) const { return {{"as_none", true}}; }
  json operator()(const TensorName& tensor) const { return {{"as_tensor", {{"name", tensor.name}}}}; }
  json operator()(const TensorNames& tensors) const { return write_tensors(tensors); }
  json operator()(std::int64_t value) const { return {{"as_int", value}}; }
  json operator()(double value) const { return {{"as_float", write_float(value)}}; }
  json operator()(bool value) const { return {{"as_bool", value}}; }
  json operator()(const std::string& value) const { return {{"as_string", value}}; }
  json operator()(const std::vector<std::int64_t>& values) const { return {{"as_ints", values}}; }
  json operator()(const std::vector<double>& values) const {
    json list = json::array();
    for (const double value : values) list.push_back(write_float(value));
    return {{"as_floats", list}};
  }
  json operator()(const std::vector<bool>& values) const { return {{"as_bools", values}}; }
  json operator()(const SymInt& value) const { return {{"as_sym_int", write_sym_int(value)}}; }
  json operator()(const std::vector<SymInt>& values) const {
    json list = json::array();
    for (const SymInt& value : values) list.push_back(write_sym_int(value));
    return {{"as_sym_ints", list}};
  }
  json operator()(ScalarTypeNumber number) const { return {{"as_scalar_type", number.value}}; }
  json operator()(LayoutNumber number) const { return {{"as_layout", number.value}}; }
  json operator()(MemoryFormatNumber number) const { return {{"as_memory_format", number.value}}; }
  json operator()(const DeviceArgument& device) const {
    return {{"as_device", {{"type", device.type}, {"index", device.index ? json(*device.index) : json()}}}};
  }
  json operator()(const OpaqueArgument& argument) const { return argument.json; }
};

json write_argument(const Argument& argument) { return std::visit(ArgumentWriter{}, argument); }

Node read_node(const json& document) {
  Node node;
  node.target = document.at("target");
  for (const json& input : document.at("inputs")) {
    node.inputs.push_back({.name = input.value("name", ""),
                           .value = read_argument(input.at("arg")),
                           .keyword = input.contains("kind") && input.at("kind") == 2});
  }
  for (const json& output : document.at("outputs")) node.outputs.push_back(read_argument(output));
  if (document.contains("metadata")) node.metadata = document.at("metadata");
  if (document.contains("name") && document.at("name").is_string()) node.name = document.at("name");
  return node;
}

void check_tensor_values(const json& values);

// With the nodes of regions in the place of their calls. `graph` is told of their values.
std::vector<Node> read_nodes(const json& list, json& graph) {
  std::vector<Node> nodes;
  for (std::size_t i = 0; i < list.size(); ++i) {
    try {
      Node node = read_node(list.at(i));
      if (!Region::is(node)) {
        nodes.push_back(std::move(node));
        continue;
      }
      const Region region(node);
      json inner = region.graph();
      check_tensor_values(inner.at("tensor_values"));
      std::vector<Node> body = read_nodes(region.graph().at("nodes"), inner);
      for (Node& inlined : region.inlined(std::move(body), inner, graph)) nodes.push_back(std::move(inlined));
    } catch (const json::exception& error) {
      throw InputError("node " + std::to_string(i) + ": " + error.what());
    } catch (const InputError& error) {
      throw InputError("node " + std::to_string(i) + ": " + error.what());
    }
  }
  return nodes;
}

json write_node(const Node& node) {
  json inputs = json::array();
  for (const NamedArgument& input : node.inputs) {
    inputs.push_back({{"name", input.name}, {"arg", write_argument(input.value)}, {"kind", input.keyword ? 2 : 1}});
  }
  json outputs = json::array();
  for (const Argument& output : node.outputs) outputs.push_back(write_argument(output));
  return {{"target", node.target},
          {"inputs", inputs},
          {"outputs", outputs},
          {"metadata", node.metadata},
          {"is_hop_single_tensor_return", nullptr},
          {"name", node.name.empty() ? json() : json(node.name)}};
}

constexpr std::string_view kHowToExport =
    "; export it in its training form: torch.export.export(model.train(), example_inputs, dynamic_shapes=…)";

// A specification is an object of one key: its kind.
void require_one_kind(const json& spec) {
  if (!spec.is_object() || spec.size() != 1) {
    throw InputError("expected an input or output of one kind, found " + in_words(spec));
  }
}

GraphInput read_input_spec(const json& spec) {
  require_one_kind(spec);
  const std::string kind = spec.begin().key();
  const json& value = spec.begin().value();
  if (kind == "parameter") {
    return {InputKind::kParameter, value.at("arg").at("name"), value.at("parameter_name"), true};
  }
  if (kind == "buffer") {
    return {InputKind::kBuffer, value.at("arg").at("name"), value.at("buffer_name"), value.value("persistent", true)};
  }
  if (kind == "tensor_constant") {
    return {InputKind::kConstant, value.at("arg").at("name"), value.at("tensor_constant_name"), true};
  }
  if (kind == "user_input" && value.at("arg").contains("as_tensor")) {
    return {InputKind::kUserInput, value.at("arg").at("as_tensor").at("name"), "", true};
  }
  throw InputError("an input of kind " + in_quotes(kind) + " is not supported: inputs must be tensors, None, or " +
                   "numbers that are the same in every call");
}

// Whether it stands for something that is no tensor and the same in every run.
bool is_fixed_input(const json& spec) {
  require_one_kind(spec);
  if (spec.begin().key() == "constant_input") return true;
  if (spec.begin().key() != "user_input") return false;
  const json& argument = spec.begin().value().at("arg");
  for (const char* changing : {"as_sym_int", "as_sym_float", "as_sym_bool"}) {
    if (!argument.contains(changing)) continue;
    throw InputError("an input of the program is " + in_words(argument) +
                     ", a number that changes from call to call: leave it out of dynamic_shapes, and it keeps the "
                     "example's value; or make it a tensor");
  }
  return !argument.contains("as_tensor");
}

void read_inputs(const json& specs, const json& values, Graph& graph) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (is_fixed_input(specs[i])) {
      graph.fixed_inputs.push_back({i, specs[i], values.at(i)});
    } else {
      graph.inputs.push_back(read_input_spec(specs[i]));
    }
  }
}

void read_outputs(const json& specs, const json& values, Graph& graph) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    require_one_kind(specs[i]);
    const std::string kind = specs[i].begin().key();
    if (kind != "user_output") {
      throw InputError("an output of kind " + in_quotes(kind) + " shows an inference form" + std::string(kHowToExport));
    }
    const json& argument = specs[i].begin().value().at("arg");
    if (argument.contains("as_tensor")) {
      graph.outputs.push_back(argument.at("as_tensor").at("name"));
    } else {
      graph.fixed_outputs.push_back({i, specs[i], values.at(i)});
    }
  }
}

// Puts them back where they were.
void insert(const std::vector<FixedEntry>& entries, json& specs, json& values) {
  for (const FixedEntry& entry : entries) {
    const auto position = static_cast<std::ptrdiff_t>(entry.position);
    specs.insert(specs.begin() + position, entry.specification);
    values.insert(values.begin() + position, entry.value);
  }
}

json write_input_spec(const GraphInput& input) {
  const json argument = {{"name", input.value}};
  switch (input.kind) {
    case InputKind::kParameter:
      return {{"parameter", {{"arg", argument}, {"parameter_name", input.state_name}}}};
    case InputKind::kBuffer:
      return {{"buffer", {{"arg", argument}, {"buffer_name", input.state_name}, {"persistent", input.persistent}}}};
    case InputKind::kConstant:
      return {{"tensor_constant", {{"arg", argument}, {"tensor_constant_name", input.state_name}}}};
    case InputKind::kUserInput:
      return {{"user_input", {{"arg", {{"as_tensor", argument}}}}}};
  }
  throw InternalError("unknown input kind");
}

// What the graph says of its values is read piece by piece later: all of it is of the right kind.
void check_tensor_values(const json& values) {
  if (!values.is_object()) throw InputError("tensor_values is not an object");
  for (const auto& [name, value] : values.items()) {
    try {
      read_number(value.at("dtype"));
      static_cast<void>(value.at("requires_grad").get<bool>());
      if (!value.at("sizes").is_array()) throw InputError("its sizes are no list");
      for (const json& size : value.at("sizes")) {
        if (size.contains("as_int")) {
          read_int(size.at("as_int"), 0, std::numeric_limits<std::int64_t>::max());
        } else {
          static_cast<void>(size.at("as_expr").at("expr_str").get<std::string>());
        }
      }
    } catch (const json::exception& error) {
      throw InputError("tensor_values, of " + in_quotes(name) + ": " + error.what());
    } catch (const InputError& error) {
      throw InputError("tensor_values, of " + in_quotes(name) + ": " + error.what());
    }
  }
}

Graph read_document(json document) {
  const json& version = document.at("schema_version");
  if (version.at("major") != 8) {
    throw InputError("schema version " + version.at("major").dump() + "." + version.at("minor").dump() +
                     " is not known; version 8 (torch 2.9 to 2.15) is: export the model with such a torch");
  }
  json& module = document.at("graph_module");
  json& signature = module.at("signature");
  Graph graph;
  json& body = module.at("graph");
  read_inputs(signature.at("input_specs"), body.at("inputs"), graph);
  read_outputs(signature.at("output_specs"), body.at("outputs"), graph);
  check_tensor_values(body.at("tensor_values"));
  const json nodes = std::move(body.at("nodes"));
  graph.nodes = read_nodes(nodes, body);
  for (const char* held : {"nodes", "inputs", "outputs"}) body.erase(held);
  module.erase("signature");
  graph.document = std::move(document);
  return graph;
}

}  // namespace

Graph read_graph(const std::string& text, const std::string& origin) {
  try {
    return read_document(parse_json(text, "models/model.json"));
  } catch (const InputError& error) {
    throw InputError(origin + ": " + error.what());
  } catch (const json::exception& error) {
    throw InputError(origin + ": models/model.json is not a torch.export program: " + error.what());
  }
}

std::string write_graph(const Graph& graph) {
  json document = graph.document;
  json& module = document.at("graph_module");
  json input_specs = json::array();
  json inputs = json::array();
  for (const GraphInput& input : graph.inputs) {
    input_specs.push_back(write_input_spec(input));
    inputs.push_back({{"as_tensor", {{"name", input.value}}}});
  }
  json output_specs = json::array();
  json outputs = json::array();
  for (const std::string& name : graph.outputs) {
    const json tensor = {{"as_tensor", {{"name", name}}}};
    output_specs.push_back({{"user_output", {{"arg", tensor}}}});
    outputs.push_back(tensor);
  }
  insert(graph.fixed_inputs, input_specs, inputs);
  insert(graph.fixed_outputs, output_specs, outputs);
  json nodes = json::array();
  for (const Node& node : graph.nodes) nodes.push_back(write_node(node));
  module["signature"] = {{"input_specs", input_specs}, {"output_specs", output_specs}};
  module["graph"]["inputs"] = inputs;
  module["graph"]["outputs"] = outputs;
  module["graph"]["nodes"] = nodes;
  return document.dump();
}

}  // namespace lockstep
