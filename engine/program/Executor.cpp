#include "engine/program/Executor.h"

#include <c10/core/GradMode.h>

#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/SavedTensorHooks.h"
#include "engine/program/StretchRecord.h"

namespace lockstep {

Executor::Executor(const Program& program, bool trains, BatchNormalizer* normalizer, RecomputationPlan recomputation)
    : interpreter_(std::make_shared<Interpreter>(program, trains, normalizer)),
      recomputation_(std::make_shared<RecomputationPlan>(std::move(recomputation))),
      values_(interpreter_->values()) {}

std::vector<at::Tensor> Executor::run(const std::vector<at::Tensor>& inputs, SizeCheck* check) {
  const ExecutionPlan& plan = interpreter_->plan();
  const std::vector<Slot>& slots = plan.inputs();
  if (inputs.size() != slots.size()) {
    throw InputError("the program takes " + std::to_string(slots.size()) + " inputs, not " +
                     std::to_string(inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    values_[slots[i]] = inputs[i];
    if (check) check->found(plan.slots().name(slots[i]), inputs[i]);
  }
  std::size_t done = 0;
  if (c10::GradMode::is_enabled()) {
    for (const RecomputationPlan::Stretch& stretch : recomputation_->stretches) {
      execute(done, stretch.begin, check, nullptr);
      run_stretch(stretch, check);
      done = stretch.end;
    }
  }
  execute(done, plan.instructions().size(), check, nullptr);
  return take_outputs();
}

void Executor::execute(std::size_t begin, std::size_t end, SizeCheck* check, BatchNormStatistics* found) {
  for (std::size_t i = begin; i < end; ++i) {
    const Instruction& instruction = interpreter_->plan().instructions()[i];
    interpreter_->execute(instruction, values_, check, found);
    for (const Slot slot : instruction.last_uses) values_[slot] = {};
  }
}

void Executor::run_stretch(const RecomputationPlan::Stretch& stretch, SizeCheck* check) {
  const auto record = std::make_shared<StretchRecord>(interpreter_, recomputation_, stretch);
  for (std::size_t i = stretch.begin; i < stretch.end; ++i) {
    BatchNormStatistics* const found = record->begin(i, values_);
    const SavedTensorScope saving(*record);
    execute(i, i + 1, check, found);
  }
}

void Executor::normalize_nothing() {
  for (const Instruction& instruction : interpreter_->plan().instructions()) {
    interpreter_->normalize_nothing(instruction, values_);
  }
}

std::vector<at::Tensor> Executor::take_outputs() {
  const ExecutionPlan& plan = interpreter_->plan();
  std::vector<at::Tensor> outputs;
  for (const Slot slot : plan.outputs()) {
    if (!values_[slot].isTensor()) {
      throw InputError("the program returns " + in_quotes(plan.slots().name(slot)) + ", which is no tensor");
    }
    outputs.push_back(values_[slot].toTensor());
  }
  for (const Slot slot : plan.outputs()) {
    if (!plan.is_state(slot)) values_[slot] = {};
  }
  return outputs;
}

}  // namespace lockstep
