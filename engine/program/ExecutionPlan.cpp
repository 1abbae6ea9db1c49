#include "engine/program/ExecutionPlan.h"

#include <torch/version.h>

#include <algorithm>

#include "common/Error.h"
#include "engine/program/ArgumentConversion.h"
#include "engine/program/OperatorTraits.h"

namespace lockstep {

namespace {

c10::OperatorHandle resolve(const Node& node) {
  if (const auto found = find_operator(node.target)) return *found;
  if (node.target.starts_with("torch.ops.higher_order.")) {
    throw InputError(
        "control flow and other higher-order operators are not supported, but torch.no_grad and "
        "torch.autocast(enabled=False); export the model without it");
  }
  throw InputError("it is not known; this build has the operators of PyTorch " TORCH_VERSION " and no others");
}

c10::Device device_of(const Program& program) {
  const std::vector<StateTensor> state = program.state();
  return state.empty() ? c10::Device(c10::kCPU) : state[0].tensor.device();
}

std::vector<std::size_t> running_statistics_of(const Instruction& instruction) {
  std::vector<std::size_t> updated;
  const auto& arguments = std::get<c10::OperatorHandle>(instruction.operation).schema().arguments();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].name() == "running_mean" || arguments[i].name() == "running_var") updated.push_back(i);
  }
  return updated;
}

}  // namespace

ExecutionPlan::ExecutionPlan(const Program& program) : device_(device_of(program)) {
  const Graph& graph = program.graph();
  for (const GraphInput& input : graph.inputs) {
    const Slot slot = slots_.define(input.value);
    if (input.kind == InputKind::kUserInput) {
      inputs_.push_back(slot);
    } else {
      state_.emplace_back(slot, program.tensor(input));
    }
  }
  for (const Node& node : graph.nodes) instructions_.push_back(compile(node, graph));
  for (const std::string& output : graph.outputs) outputs_.push_back(slots_.find(output));
  is_state_.assign(slots_.size(), false);
  for (const auto& [slot, tensor] : state_) is_state_[slot] = true;
  mark_last_uses();
  mark_trained();
  makers_.assign(slots_.size(), kNothing);
  for (std::size_t i = 0; i < instructions_.size(); ++i) {
    for (const std::vector<Slot>& output : instructions_[i].outputs) {
      for (const Slot slot : output) makers_[slot] = i;
    }
  }
}

Instruction ExecutionPlan::compile(const Node& node, const Graph& graph) {
  const ArgumentConversion conversion(slots_, device_);
  try {
    Instruction instruction;
    if (const SizeOperator* arithmetic = find_size_operator(node.target)) {
      instruction.operation = arithmetic;
      for (const NamedArgument& input : node.inputs) {
        instruction.arguments.push_back(conversion.convert_size(input.value));
      }
      if (instruction.arguments.size() != arithmetic->operands) {
        throw InputError("it has " + std::to_string(instruction.arguments.size()) + " arguments");
      }
    } else {
      const c10::OperatorHandle handle = resolve(node);
      instruction.operation = handle;
      instruction.guard = argument_guard(handle.schema().name());
      instruction.arguments = conversion.convert_all(node, handle.schema());
    }
    instruction.gradients = node.gradients;
    instruction.autocast = node.autocast;
    instruction.in_place = node.in_place();
    instruction.random = operator_traits(node).random;
    instruction.statistics = batch_statistics(node);
    if (instruction.statistics) instruction.updated = running_statistics_of(instruction);
    instruction.description = instruction.statistics ? describe_with_layer(node, graph) : describe(node);
    define_outputs(node, instruction);
    return instruction;
  } catch (const InputError& error) {
    throw InputError(describe(node) + ": " + error.what());
  }
}

void ExecutionPlan::define_outputs(const Node& node, Instruction& instruction) {
  for (const Argument& output : node.outputs) {
    std::vector<Slot> slots;
    bool list = false;
    if (const auto* tensor = std::get_if<TensorName>(&output)) {
      slots.push_back(slots_.define(tensor->name));
    } else if (const auto* tensors = std::get_if<TensorNames>(&output)) {
      list = true;
      for (const auto& name : tensors->names) slots.push_back(slots_.define(name.value_or("")));
    } else if (const auto* integer = std::get_if<SymInt>(&output)) {
      const auto* name = std::get_if<std::string>(integer);
      if (!name) throw InputError("it returns an integer without a name");
      slots.push_back(slots_.define(*name));
    } else if (!std::holds_alternative<NoneArgument>(output)) {
      throw InputError("it returns something that is neither a tensor nor an integer");
    }
    instruction.outputs.push_back(std::move(slots));
    instruction.output_is_list.push_back(list);
  }
}

// What lies in memory that a trained value is written into may be trained by then: all counts as trained from there on.
void ExecutionPlan::mark_trained() {
  bool written = false;
  std::vector<bool> trained(slots_.size(), false);
  for (const auto& [slot, tensor] : state_) trained[slot] = tensor.requires_grad();
  for (Instruction& instruction : instructions_) {
    bool reads = written;
    instruction.for_each_read([&](Slot slot) { reads = reads || trained[slot]; });
    instruction.trained = reads && instruction.gradients;
    if (!instruction.trained) continue;
    const auto* handle = std::get_if<c10::OperatorHandle>(&instruction.operation);
    written = written || instruction.in_place || (handle != nullptr && handle->schema().is_mutable());
    for (const std::vector<Slot>& output : instruction.outputs) {
      for (const Slot slot : output) trained[slot] = true;
    }
  }
}

void ExecutionPlan::mark_last_uses() {
  // Parameters, buffers and constants stay; what the program returns goes when it is returned.
  std::vector<bool> settled = is_state_;
  for (const Slot slot : outputs_) settled[slot] = true;
  for (auto instruction = instructions_.rbegin(); instruction != instructions_.rend(); ++instruction) {
    const auto use = [&](Slot slot) {
      if (settled[slot]) return;
      settled[slot] = true;
      instruction->last_uses.push_back(slot);
    };
    instruction->for_each_read(use);
    for (const auto& output : instruction->outputs) std::ranges::for_each(output, use);  // results nobody uses
  }
}

}  // namespace lockstep
