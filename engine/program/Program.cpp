#include "engine/program/Program.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <set>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/GraphFormat.h"

namespace lockstep {

namespace {

// Numbers of torch/_export/serde/schema.py, class ScalarType.
constexpr std::pair<int, at::ScalarType> kScalarTypes[] = {
    {1, at::kByte}, {2, at::kChar},  {3, at::kShort},  {4, at::kInt},   {5, at::kLong},
    {6, at::kHalf}, {7, at::kFloat}, {8, at::kDouble}, {12, at::kBool}, {13, at::kBFloat16},
};

void retype(Argument& argument, int from, int to) {
  if (auto* number = std::get_if<ScalarTypeNumber>(&argument); number && number->value == from) number->value = to;
}

// Every tensor through `copy`, once: tied names stay tied.
template <typename Copy>
std::map<std::string, at::Tensor> copies(const std::map<std::string, at::Tensor>& state, const Copy& copy) {
  std::map<std::string, at::Tensor> copied;
  std::map<const void*, at::Tensor> seen;
  for (const auto& [name, tensor] : state) {
    at::Tensor& made = seen[tensor.unsafeGetTensorImpl()];
    if (!made.defined()) made = copy(tensor.detach()).set_requires_grad(tensor.requires_grad());
    copied[name] = made;
  }
  return copied;
}

}  // namespace

at::ScalarType scalar_type_from_archive(int number) {
  const auto* found = std::ranges::find(kScalarTypes, number, &std::pair<int, at::ScalarType>::first);
  if (found == std::end(kScalarTypes)) {
    throw InputError("element type " + std::to_string(number) + " of the program is not supported");
  }
  return found->second;
}

int scalar_type_to_archive(at::ScalarType type) {
  const auto* found = std::ranges::find(kScalarTypes, type, &std::pair<int, at::ScalarType>::second);
  if (found == std::end(kScalarTypes)) {
    throw InternalError(std::string("no archive number for ") + c10::toString(type));
  }
  return found->first;
}

Program::Program(std::string name, Graph graph, std::map<std::string, at::Tensor> state)
    : name_(std::move(name)), graph_(std::move(graph)), state_(std::move(state)) {
  for (const GraphInput& input : graph_.inputs) {
    if (input.kind != InputKind::kUserInput && !state_.contains(input.state_name)) {
      throw InputError("the program names the tensor " + in_quotes(input.state_name) + " but does not hold it");
    }
  }
}

const at::Tensor& Program::tensor(const GraphInput& input) const { return state_.at(input.state_name); }

std::vector<StateTensor> Program::state() const {
  std::vector<StateTensor> tensors;
  for (const GraphInput& input : graph_.inputs) {
    if (input.kind == InputKind::kUserInput) continue;
    const bool in_state_dict =
        input.kind == InputKind::kParameter || (input.kind == InputKind::kBuffer && input.persistent);
    tensors.push_back({input.state_name, input.kind, tensor(input), in_state_dict});
  }
  return tensors;
}

std::vector<std::string> Program::names_of(const at::Tensor& tensor) const {
  std::vector<std::string> names;
  for (const StateTensor& entry : state()) {
    if (entry.tensor.is_same(tensor)) names.push_back(entry.name);
  }
  return names;
}

std::vector<StateTensor> Program::trained_parameters() const {
  std::map<std::string, const GraphInput*> candidates;
  for (const GraphInput& input : graph_.inputs) {
    if (input.kind == InputKind::kParameter && tensor(input).requires_grad()) candidates[input.value] = &input;
  }
  std::vector<StateTensor> parameters;
  std::set<const void*> seen;
  const auto use = [&](const std::string& value) {
    const auto found = candidates.find(value);
    if (found == candidates.end()) return;
    const at::Tensor& used = tensor(*found->second);
    if (seen.insert(used.unsafeGetTensorImpl()).second) {
      parameters.push_back({found->second->state_name, InputKind::kParameter, used});
    }
  };
  for (const Node& node : graph_.nodes) {
    for (const std::string& name : node.tensors()) use(name);
  }
  std::ranges::reverse(parameters);
  return parameters;
}

std::vector<StateTensor> Program::running_statistics() const {
  // batch_norm and instance_norm change their statistics without saying so in their name.
  std::set<std::string> changed;
  for (const Node& node : graph_.nodes) {
    for (const char* argument : {"running_mean", "running_var"}) changed.insert(node.tensor(argument));
    if (node.in_place()) changed.insert(node.tensor("self"));
  }
  std::vector<StateTensor> statistics;
  std::set<const void*> seen;
  for (const GraphInput& input : graph_.inputs) {
    if (input.kind != InputKind::kBuffer || !changed.contains(input.value)) continue;
    const at::Tensor& buffer = tensor(input);
    if (buffer.is_floating_point() && seen.insert(buffer.unsafeGetTensorImpl()).second) {
      statistics.push_back({input.state_name, input.kind, buffer});
    }
  }
  return statistics;
}

std::int64_t Program::parameter_count() const {
  std::int64_t count = 0;
  std::set<const void*> seen;
  for (const StateTensor& entry : state()) {
    if (entry.kind == InputKind::kParameter && seen.insert(entry.tensor.unsafeGetTensorImpl()).second) {
      count += entry.tensor.numel();
    }
  }
  return count;
}

Program Program::to(at::ScalarType type) const {
  const int from = scalar_type_to_archive(at::kFloat);
  const int into = scalar_type_to_archive(type);
  const std::vector<StateTensor> held = state();
  const auto converts = [](const StateTensor& entry) {
    return entry.kind == InputKind::kParameter && entry.tensor.scalar_type() == at::kFloat;
  };
  if (from == into || std::ranges::none_of(held, converts)) return *this;
  Graph graph = graph_;
  for (Node& node : graph.nodes) {
    for (NamedArgument& input : node.inputs) retype(input.value, from, into);
    // What makes a tensor of nothing makes it float32 still.
    if (node.asserts_metadata() && node.find("dtype")) node.set("dtype", NoneArgument{});
  }
  graph.retype(from, into);
  const auto convert = [&](const at::Tensor& tensor) {
    return tensor.scalar_type() == at::kFloat ? tensor.to(type) : tensor.clone();
  };
  return Program(name_, std::move(graph), copies(state_, convert));
}

Program Program::with_graph(Graph graph) const { return Program(name_, std::move(graph), state_); }

Program Program::with_tensors(const std::vector<at::Tensor>& from, const std::vector<at::Tensor>& to) const {
  std::map<std::string, at::Tensor> state = state_;
  for (auto& [name, tensor] : state) {
    const auto found = std::ranges::find_if(from, [&](const at::Tensor& other) { return other.is_same(tensor); });
    if (found == from.end()) continue;
    const bool trained = tensor.requires_grad();
    tensor = to.at(static_cast<std::size_t>(found - from.begin()));
    tensor.set_requires_grad(trained);
  }
  return {name_, graph_, std::move(state)};
}

Program Program::row_major() const {
  const auto ordered = [](const at::Tensor& tensor) {
    // With one channel both orders are contiguous, and the strides still say which of them is meant.
    const bool row_major = tensor.is_contiguous() && tensor.suggest_memory_format() == at::MemoryFormat::Contiguous;
    return row_major ? tensor : tensor.clone(at::MemoryFormat::Contiguous);
  };
  return Program(name_, graph_, copies(state_, ordered));
}

Program Program::on(const c10::Device& device) const {
  const bool there = std::ranges::all_of(state_, [&](const auto& entry) { return entry.second.device() == device; });
  return there ? *this : clone(device);
}

Program Program::clone(const c10::Device& device) const {
  const auto copy = [&](const at::Tensor& tensor) {
    return tensor.to(device, tensor.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
  };
  return Program(name_, graph_, copies(state_, copy));
}

std::string Program::digest() const {
  Digest digest;
  digest.update(write_graph(graph_));
  for (const auto& [state_name, tensor] : state_) {
    const at::Tensor dense = tensor.detach().contiguous();
    digest.update(state_name);
    digest.update(std::span(static_cast<const std::byte*>(dense.const_data_ptr()), dense.nbytes()));
  }
  return digest.hex();
}

}  // namespace lockstep
