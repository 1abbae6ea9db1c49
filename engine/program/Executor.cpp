#include "engine/program/Executor.h"

#include <ATen/ops/empty.h>
#include <c10/core/DispatchKeySet.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <exception>
#include <new>
#include <span>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/ArgumentConversion.h"
#include "engine/program/TorchError.h"

namespace lockstep {

namespace {

// Of the arguments of aten::batch_norm.
at::Tensor tensor_in(const c10::IValue& value) { return value.isTensor() ? value.toTensor() : at::Tensor(); }

}  // namespace

Executor::Executor(const Program& program, bool trains, BatchNormalizer* normalizer)
    : plan_(program), trains_(trains), normalizer_(normalizer), values_(plan_.slots().size()) {
  for (const auto& [slot, tensor] : plan_.state()) values_[slot] = tensor;
}

c10::IValue Executor::load(const ArgumentSource& source) const {
  if (const auto* constant = std::get_if<c10::IValue>(&source)) return *constant;
  if (const auto* slot = std::get_if<Slot>(&source)) return values_[*slot];
  if (const auto* number = std::get_if<WrappedNumberSource>(&source)) {
    return c10::IValue(wrapped_number(values_[number->slot].toScalar()));
  }
  if (const auto* list = std::get_if<IntListSource>(&source)) {
    std::vector<std::int64_t> values;
    values.reserve(list->entries.size());
    for (const auto& entry : list->entries) {
      const auto* slot = std::get_if<1>(&entry);
      values.push_back(slot ? values_[*slot].toInt() : std::get<0>(entry));
    }
    return c10::IValue(std::move(values));
  }
  const auto& list = std::get<TensorListSource>(source);
  if (list.optional_entries) {
    c10::List<std::optional<at::Tensor>> tensors;
    for (const auto& slot : list.slots) {
      tensors.push_back(slot ? std::optional(values_[*slot].toTensor()) : std::nullopt);
    }
    return c10::IValue(std::move(tensors));
  }
  c10::List<at::Tensor> tensors;
  for (const auto& slot : list.slots) tensors.push_back(slot ? values_[*slot].toTensor() : at::Tensor());
  return c10::IValue(std::move(tensors));
}

void Executor::store(const Instruction& instruction, std::vector<c10::IValue>& stack) {
  if (stack.size() < instruction.outputs.size()) throw InputError("it returned fewer values than the graph names");
  for (std::size_t i = 0; i < instruction.outputs.size(); ++i) {
    const std::vector<Slot>& slots = instruction.outputs[i];
    if (!instruction.output_is_list[i]) {
      if (!slots.empty()) values_[slots[0]] = std::move(stack[i]);
      continue;
    }
    const auto tensors = stack[i].toTensorVector();
    if (tensors.size() != slots.size()) {
      throw InputError("it returned " + std::to_string(tensors.size()) + " tensors; the graph names " +
                       std::to_string(slots.size()));
    }
    for (std::size_t j = 0; j < slots.size(); ++j) values_[slots[j]] = tensors[j];
  }
  stack.clear();
}

void Executor::require_statistics(const Instruction& instruction, const std::vector<c10::IValue>& stack) const {
  // Without running statistics only the output is made of the variance, and inference may do with that.
  if (!instruction.statistics->running && !trains_) return;
  const auto tensor = stack.at(0).toTensor().sizes();
  const std::span sizes(tensor.data(), tensor.size());
  if (instruction.statistics->values(sizes) != 1) return;
  throw SingleValueError(instruction.description, *instruction.statistics, sizes);
}

void Executor::check_arguments(const Instruction& instruction, const std::vector<c10::IValue>& stack,
                               SizeCheck& check) const {
  std::vector<std::vector<std::string>> results;
  for (const std::vector<Slot>& slots : instruction.outputs) {
    std::vector<std::string>& names = results.emplace_back();
    for (const Slot slot : slots) names.push_back(plan_.slots().name(slot));
  }
  check.before(std::get<c10::OperatorHandle>(instruction.operation), stack, results);
}

std::vector<at::Tensor> Executor::run(const std::vector<at::Tensor>& inputs, SizeCheck* check) {
  const std::vector<Slot>& slots = plan_.inputs();
  if (inputs.size() != slots.size()) {
    throw InputError("the program takes " + std::to_string(slots.size()) + " inputs, not " +
                     std::to_string(inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    values_[slots[i]] = inputs[i];
    if (check) check->found(plan_.slots().name(slots[i]), inputs[i]);
  }
  std::vector<c10::IValue> stack;
  for (const Instruction& instruction : plan_.instructions()) {
    execute(instruction, stack, check);
    for (const Slot slot : instruction.last_uses) values_[slot] = {};
  }
  return take_outputs();
}

void Executor::execute(const Instruction& instruction, std::vector<c10::IValue>& stack, SizeCheck* check) {
  const auto failed = [&] { return instruction.description + " failed"; };
  const c10::AutoGradMode gradients(instruction.gradients && c10::GradMode::is_enabled());
  const c10::impl::ExcludeDispatchKeyGuard autocast(instruction.autocast ? c10::DispatchKeySet()
                                                                         : c10::autocast_dispatch_keyset);
  try {
    for (const ArgumentSource& argument : instruction.arguments) stack.push_back(load(argument));
    call(instruction, stack, check);
    store(instruction, stack);
    if (!check) return;
    for (const std::vector<Slot>& slots : instruction.outputs) {
      for (const Slot slot : slots) {
        if (values_[slot].isTensor()) check->found(plan_.slots().name(slot), values_[slot].toTensor());
      }
    }
  } catch (const c10::Error& error) {
    rethrow(error, failed());
  } catch (const SingleValueError&) {
    throw;
  } catch (const InputError& error) {
    throw InputError(failed() + ": " + error.what());
  } catch (const std::bad_alloc&) {
    throw OutOfMemoryError(failed());
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {  // of a list that libtorch makes, or of oneDNN: it lacks some types
    throw InputError(failed() + ": " + error.what());
  }
}

void Executor::call(const Instruction& instruction, std::vector<c10::IValue>& stack, SizeCheck* check) const {
  if (normalizer_ != nullptr && instruction.statistics && instruction.statistics->over_batch) {
    return normalize(stack);
  }
  if (instruction.statistics) require_statistics(instruction, stack);
  if (const auto* handle = std::get_if<c10::OperatorHandle>(&instruction.operation)) {
    if (check) check_arguments(instruction, stack, *check);
    if (instruction.guard) instruction.guard(stack);
    handle->callBoxed(&stack);
    return;
  }
  const SizeValue result = std::get<const SizeOperator*>(instruction.operation)
                               ->compute(stack[0].toInt(), stack.size() > 1 ? stack[1].toInt() : 0);
  stack.clear();
  std::visit([&](auto value) { stack.emplace_back(value); }, result);
}

// The stack holds the arguments of aten::batch_norm, and then what it returns.
void Executor::normalize(std::vector<c10::IValue>& stack) const {
  at::Tensor y = normalizer_->normalize({.x = tensor_in(stack.at(0)),
                                         .weight = tensor_in(stack.at(1)),
                                         .bias = tensor_in(stack.at(2)),
                                         .running_mean = tensor_in(stack.at(3)),
                                         .running_var = tensor_in(stack.at(4)),
                                         .momentum = stack.at(6).toDouble(),
                                         .epsilon = stack.at(7).toDouble()});
  stack.clear();
  stack.emplace_back(std::move(y));
}

void Executor::normalize_nothing() {
  for (const Instruction& instruction : plan_.instructions()) {
    if (!instruction.statistics || !instruction.statistics->over_batch) continue;
    std::vector<c10::IValue> stack = {{}};
    for (std::size_t i = 1; i < instruction.arguments.size(); ++i) stack.push_back(load(instruction.arguments[i]));
    for (std::size_t i = 1; i <= 4; ++i) {  // one of them says how many channels there are
      if (const at::Tensor known = tensor_in(stack[i]); known.defined()) {
        stack[0] = at::empty({0, known.size(0)}, known.options().requires_grad(false));
      }
    }
    const c10::AutoGradMode mode(instruction.gradients && c10::GradMode::is_enabled());
    normalize(stack);
  }
}

std::vector<at::Tensor> Executor::take_outputs() {
  std::vector<at::Tensor> outputs;
  for (const Slot slot : plan_.outputs()) {
    if (!values_[slot].isTensor()) {
      throw InputError("the program returns " + in_quotes(plan_.slots().name(slot)) + ", which is no tensor");
    }
    outputs.push_back(values_[slot].toTensor());
  }
  for (const Slot slot : plan_.outputs()) {
    if (!plan_.is_state(slot)) values_[slot] = {};
  }
  return outputs;
}

}  // namespace lockstep
