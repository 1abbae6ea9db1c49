#include "engine/program/NotFiniteSearch.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <variant>

#include "common/Error.h"

namespace lockstep {

namespace {

bool is_real(const c10::IValue& value) {
  return value.isTensor() && value.toTensor().defined() && value.toTensor().is_floating_point();
}

bool has_nan(const c10::IValue& value) {
  return is_real(value) && at::isnan(value.toTensor().detach()).any().item<bool>();
}

bool has_infinity(const c10::IValue& value) {
  return is_real(value) && at::isinf(value.toTensor().detach()).any().item<bool>();
}

// What makes infinities on purpose: from a number in the graph, not from what it computes.
bool fills(const Instruction& instruction) {
  for (const ArgumentSource& argument : instruction.arguments) {
    const auto* constant = std::get_if<c10::IValue>(&argument);
    if (constant != nullptr && constant->isDouble() && !std::isfinite(constant->toDouble())) return true;
  }
  return false;
}

}  // namespace

NotFiniteSearch::NotFiniteSearch(const Program& program)
    : interpreter_(program, /*trains=*/true, /*normalizer=*/nullptr), values_(interpreter_.values()) {
  for (const StateTensor& entry : program.state()) {
    if (entry.kind == InputKind::kBuffer) statistics_.push_back(entry.tensor);
  }
}

std::vector<at::Tensor> NotFiniteSearch::run(const std::vector<at::Tensor>& inputs) {
  const ExecutionPlan& plan = interpreter_.plan();
  if (inputs.size() != plan.inputs().size()) throw InternalError("the inputs are not this program's");
  std::vector<at::Tensor> before;
  for (const at::Tensor& tensor : statistics_) before.push_back(tensor.clone());
  for (std::size_t i = 0; i < inputs.size(); ++i) values_[plan.inputs()[i]] = inputs[i];
  for (std::size_t i = 0; i < plan.instructions().size(); ++i) {
    const Instruction& instruction = plan.instructions()[i];
    bool given_nan = false;
    bool given_infinity = false;
    instruction.for_each_read([&](Slot slot) {
      given_nan |= has_nan(values_[slot]);
      given_infinity |= has_infinity(values_[slot]);
    });
    interpreter_.execute(instruction, values_);
    for (const std::vector<Slot>& slots : instruction.outputs) {
      for (const Slot slot : slots) {
        if (!nan_ && !given_nan && has_nan(values_[slot])) {
          nan_ = i;
          nan_of_infinite_ = given_infinity;
        }
        if (!infinite_ && !given_infinity && !given_nan && !fills(instruction) && has_infinity(values_[slot])) {
          infinite_ = i;
        }
      }
    }
    watch_gradients(instruction);
  }
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; i < before.size(); ++i) statistics_[i].copy_(before[i]);
  std::vector<at::Tensor> outputs;
  for (const Slot slot : plan.outputs()) outputs.push_back(values_[slot].toTensor());
  return outputs;
}

void NotFiniteSearch::watch_gradients(const Instruction& instruction) {
  for (const std::vector<Slot>& slots : instruction.outputs) {
    for (const Slot slot : slots) {
      if (!is_real(values_[slot]) || !values_[slot].toTensor().requires_grad()) continue;
      values_[slot].toTensor().register_hook([found = gradients_, slot](const at::Tensor& gradient) {
        if (found->first || !gradient.defined()) return;
        if (!at::isfinite(gradient).all().item<bool>()) found->first = slot;
      });
    }
  }
}

std::string NotFiniteSearch::made_forward(bool infinite_counts) const {
  const std::vector<Instruction>& instructions = interpreter_.plan().instructions();
  const bool of_infinite = nan_ && nan_of_infinite_ && infinite_ && *infinite_ < *nan_;
  if (of_infinite) {
    return instructions[*infinite_].description + " makes inf of finite numbers, and " +
           instructions[*nan_].description + " nan of that";
  }
  if (nan_) return instructions[*nan_].description + " makes nan of what is none";
  if (infinite_ && infinite_counts) return instructions[*infinite_].description + " makes inf of finite numbers";
  return "";
}

// The gradient of a value comes from those that read it.
std::string NotFiniteSearch::readers_of(Slot slot) const {
  constexpr std::size_t kMost = 3;
  std::vector<std::string> readers;
  for (const Instruction& instruction : interpreter_.plan().instructions()) {
    bool reads = false;
    instruction.for_each_read([&](Slot read) { reads |= read == slot; });
    if (reads) readers.push_back(instruction.description);
  }
  std::string text;
  for (std::size_t i = 0; i < readers.size() && i < kMost; ++i) text += (i > 0 ? " or of " : "") + readers[i];
  return text;
}

std::string NotFiniteSearch::made_backward(const at::Tensor& loss) {
  const ExecutionPlan& plan = interpreter_.plan();
  std::vector<at::Tensor> parameters;
  std::vector<Slot> slots;
  for (const auto& [slot, tensor] : plan.state()) {
    if (!tensor.requires_grad()) continue;
    parameters.push_back(tensor);
    slots.push_back(slot);
  }
  const auto gradients = torch::autograd::grad({loss}, parameters, {}, /*retain_graph=*/false, /*create_graph=*/false,
                                               /*allow_unused=*/true);
  std::optional<Slot> first = gradients_->first;
  for (std::size_t i = 0; i < gradients.size() && !first; ++i) {
    if (gradients[i].defined() && !at::isfinite(gradients[i]).all().item<bool>()) first = slots[i];
  }
  if (!first) return "";
  const std::string readers = readers_of(*first);
  return readers.empty() ? "the gradient of the loss is not finite" : "the backward of " + readers + " makes it";
}

}  // namespace lockstep
