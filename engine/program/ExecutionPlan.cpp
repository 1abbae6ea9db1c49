#include "engine/program/ExecutionPlan.h"

#include <torch/version.h>

#include <algorithm>

#include "common/Error.h"
#include "engine/program/ArgumentConversion.h"

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
  mark_last_uses();
}

bool ExecutionPlan::is_state(Slot slot) const {
  return std::ranges::find(state_, slot, &std::pair<Slot, at::Tensor>::first) != state_.end();
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
    instruction.statistics = batch_statistics(node);
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

void ExecutionPlan::mark_last_uses() {
  // Parameters, buffers and constants stay; what the program returns goes when it is returned.
  std::vector<bool> settled(slots_.size(), false);
  for (const auto& [slot, tensor] : state_) settled[slot] = true;
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
