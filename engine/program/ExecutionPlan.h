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
  bool is_state(Slot slot) const { return is_state_[slot]; }
  /// Which instruction makes the value in the slot, or kNothing: it is state or an input.
  std::size_t maker(Slot slot) const { return makers_[slot]; }
  const c10::Device& device() const { return device_; }

  static constexpr std::size_t kNothing = static_cast<std::size_t>(-1);

 private:
  Instruction compile(const Node& node, const Graph& graph);
  void define_outputs(const Node& node, Instruction& instruction);
  void mark_last_uses();
  void mark_trained();

  c10::Device device_;  ///< of the program's tensors: what the graph makes anew is made there
  ValueSlots slots_;
  std::vector<std::pair<Slot, at::Tensor>> state_;
  std::vector<Slot> inputs_;
  std::vector<Slot> outputs_;
  std::vector<Instruction> instructions_;
  std::vector<bool> is_state_;       ///< by slot
  std::vector<std::size_t> makers_;  ///< by slot
};

}  // namespace lockstep
