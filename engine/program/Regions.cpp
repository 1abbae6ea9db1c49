#include "engine/program/Regions.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

using nlohmann::json;

namespace {

constexpr std::string_view kGradients = "torch.ops.higher_order.wrap_with_set_grad_enabled";  // (enabled, graph, …)
constexpr std::string_view kAutocast = "torch.ops.higher_order.wrap_with_autocast";  // (device, type, enabled, …)
constexpr std::array kValues = {"tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values"};

// {"as_tensor": {"name": "x"}} or {"as_sym_int": {"as_name": "s"}}, of which a region's inputs and outputs are made.
std::string name_in(const json& argument) {
  if (argument.contains("as_tensor")) return argument.at("as_tensor").at("name");
  if (argument.contains("as_sym_int") && argument.at("as_sym_int").contains("as_name")) {
    return argument.at("as_sym_int").at("as_name");
  }
  throw InputError("a region takes and returns tensors and sizes, not " + argument.dump());
}

std::string name_in(const Argument& argument) {
  if (const auto* tensor = std::get_if<TensorName>(&argument)) return tensor->name;
  const auto* size = std::get_if<SymInt>(&argument);
  const auto* name = size ? std::get_if<std::string>(size) : nullptr;
  return name ? *name : "";
}

// The names of a region's values, as they are called in the graph around it.
class Names {
 public:
  Names(std::string prefix, json& around) : prefix_(std::move(prefix)), around_(around) {}

  void give(const std::string& value, std::string name) { names_[value] = std::move(name); }
  const std::string& operator[](const std::string& value) {
    const auto [found, is_new] = names_.try_emplace(value);
    if (is_new) found->second = free_name(prefix_ + "_" + value);
    return found->second;
  }

  void rename(Argument& argument) {
    if (auto* tensor = std::get_if<TensorName>(&argument)) tensor->name = (*this)[tensor->name];
    if (auto* tensors = std::get_if<TensorNames>(&argument)) {
      for (auto& name : tensors->names) {
        if (name) name = (*this)[*name];
      }
    }
    if (auto* size = std::get_if<SymInt>(&argument)) rename(*size);
    if (auto* sizes = std::get_if<std::vector<SymInt>>(&argument)) {
      for (SymInt& size : *sizes) rename(size);
    }
  }

 private:
  void rename(SymInt& size) {
    if (auto* name = std::get_if<std::string>(&size)) *name = (*this)[*name];
  }
  std::string free_name(std::string name) const {
    const auto taken = [&] {
      return std::ranges::any_of(
          kValues, [&](const char* kind) { return around_.contains(kind) && around_[kind].contains(name); });
    };
    while (taken()) name += "_";
    return name;
  }

  std::string prefix_;
  json& around_;
  std::map<std::string, std::string> names_;
};

const bool* flag(const Node& call, std::size_t place) {
  return place < call.inputs.size() ? std::get_if<bool>(&call.inputs[place].value) : nullptr;
}

}  // namespace

bool Region::is(const Node& call) { return call.target == kGradients || call.target == kAutocast; }

Region::Region(const Node& call) : call_(call), gradients_(call.target != kGradients) {
  const bool* enabled = flag(call, gradients_ ? 2 : 0);
  if (enabled == nullptr) throw InputError("the program does not say what it turns off");
  if (*enabled) {
    throw InputError(
        gradients_ ? "the model turns autocast on, and precision is the job's to say: leave torch.autocast out of "
                     "the model, and train with precision=bf16 or precision=fp16"
                   : "the model turns gradients on (torch.enable_grad): they are on, leave it out");
  }
  for (const NamedArgument& input : call.inputs) {
    const auto* opaque = std::get_if<OpaqueArgument>(&input.value);
    if (graph_ != nullptr) {
      given_.push_back(input.value);
    } else if (opaque != nullptr && opaque->json.contains("as_graph")) {
      graph_ = &opaque->json.at("as_graph").at("graph");
    }
  }
  if (graph_ == nullptr || graph_->at("inputs").size() != given_.size() ||
      graph_->at("outputs").size() != call.outputs.size()) {
    throw InputError("its graph does not take or return what it is called with");
  }
}

std::vector<Node> Region::inlined(std::vector<Node> body, const json& inner, json& around) const {
  Names names(call_.name, around);
  for (std::size_t i = 0; i < given_.size(); ++i) {
    const std::string given = name_in(given_[i]);
    if (given.empty()) throw InputError("a region is given something that is neither a tensor nor a size");
    names.give(name_in(graph_->at("inputs")[i]), given);
  }
  for (const char* kind : kValues) {
    if (!inner.contains(kind)) continue;
    for (const auto& [value, description] : inner.at(kind).items()) {
      const std::string& name = names[value];
      if (!around[kind].contains(name)) around[kind][name] = description;
    }
  }
  for (Node& node : body) {
    for (NamedArgument& input : node.inputs) names.rename(input.value);
    for (Argument& output : node.outputs) names.rename(output);
    (gradients_ ? node.autocast : node.gradients) = false;
  }
  for (std::size_t i = 0; i < call_.outputs.size(); ++i) {
    const auto* result = std::get_if<TensorName>(&call_.outputs[i]);
    if (result == nullptr) throw InputError("a region returns something that is no tensor");
    body.push_back({.target = gradients_ ? "torch.ops.aten.alias.default" : "torch.ops.aten.detach.default",
                    .inputs = {{"self", TensorName{names[name_in(graph_->at("outputs")[i])]}}},
                    .outputs = {*result},
                    .metadata = call_.metadata,
                    .name = result->name});
  }
  return body;
}

}  // namespace lockstep
