// A program compiled for running.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <utility>
#include <vector>

#include "engine/program/Instruction.h"
#include "engine/program/Program.h"
#include "engine/program/ValueSlots.h"

namespace lockstep {

/// What an Executor follows: every operator resolved, every argument converted, every value given a slot. Holds no
/// tensors but the program's own.
class ExecutionPlan {
 public:
  /// Throws InputError naming the operator and the user's source line for one that PyTorch's dispatcher does not have
  /// or that takes arguments we cannot pass.
  explicit ExecutionPlan(const Program& program);

  const ValueSlots& slots() const { return slots_; }
  const std::vector<std::pair<Slot, at::Tensor>>& state() const { return state_; }
  const std::vector<Slot>& inputs() const { return inputs_; }
  const std::vector<Slot>& outputs() const { return outputs_; }
  const std::vector<Instruction>& instructions() const { return instructions_; }
  /// Whether the slot holds a parameter, buffer or constant.
  bool is_state(Slot slot) const;

 private:
  Instruction compile(const Node& node, const Graph& graph);
  void define_outputs(const Node& node, Instruction& instruction);
  void mark_last_uses();

  c10::Device device_;  ///< of the program's tensors: what the graph makes anew is made there
  ValueSlots slots_;
  std::vector<std::pair<Slot, at::Tensor>> state_;
  std::vector<Slot> inputs_;
  std::vector<Slot> outputs_;
  std::vector<Instruction> instructions_;
};

}  // namespace lockstep
