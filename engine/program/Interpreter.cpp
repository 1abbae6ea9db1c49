#include "engine/program/Interpreter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/relu.h>
#include <c10/core/DispatchKeySet.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <exception>
#include <new>
#include <span>

#include "common/Error.h"
#include "engine/program/ArgumentConversion.h"
#include "engine/program/TorchError.h"

namespace lockstep {

namespace {

at::Tensor tensor_in(const c10::IValue& value) { return value.isTensor() ? value.toTensor() : at::Tensor(); }

// Of the arguments of aten::batch_norm, with which those of lockstep::batch_norm begin.
BatchNormCall batch_norm_call(const std::vector<c10::IValue>& arguments) {
  return {.x = tensor_in(arguments.at(0)),
          .weight = tensor_in(arguments.at(1)),
          .bias = tensor_in(arguments.at(2)),
          .running_mean = tensor_in(arguments.at(3)),
          .running_var = tensor_in(arguments.at(4)),
          .momentum = arguments.at(6).toDouble(),
          .epsilon = arguments.at(7).toDouble()};
}

// What lockstep::batch_norm does behind the normalization: it adds its argument 8 and is ReLU if argument 9 says so.
at::Tensor behind_batch_norm(at::Tensor y, const std::vector<c10::IValue>& arguments) {
  constexpr std::size_t kResidual = 8;
  constexpr std::size_t kRelu = 9;
  if (arguments.size() <= kRelu) return y;
  if (const at::Tensor residual = tensor_in(arguments[kResidual]); residual.defined()) y = y + residual;
  return arguments[kRelu].toBool() ? at::relu(y) : y;
}

c10::IValue load(const ArgumentSource& source, const Values& values) {
  if (const auto* constant = std::get_if<c10::IValue>(&source)) return *constant;
  if (const auto* slot = std::get_if<Slot>(&source)) return values[*slot];
  if (const auto* number = std::get_if<WrappedNumberSource>(&source)) {
    return c10::IValue(wrapped_number(values[number->slot].toScalar()));
  }
  if (const auto* list = std::get_if<IntListSource>(&source)) {
    std::vector<std::int64_t> sizes;
    sizes.reserve(list->entries.size());
    for (const auto& entry : list->entries) {
      const auto* slot = std::get_if<1>(&entry);
      sizes.push_back(slot ? values[*slot].toInt() : std::get<0>(entry));
    }
    return c10::IValue(std::move(sizes));
  }
  const auto& list = std::get<TensorListSource>(source);
  if (list.optional_entries) {
    c10::List<std::optional<at::Tensor>> tensors;
    for (const auto& slot : list.slots) {
      tensors.push_back(slot ? std::optional(values[*slot].toTensor()) : std::nullopt);
    }
    return c10::IValue(std::move(tensors));
  }
  c10::List<at::Tensor> tensors;
  for (const auto& slot : list.slots) tensors.push_back(slot ? values[*slot].toTensor() : at::Tensor());
  return c10::IValue(std::move(tensors));
}

void store(const Instruction& instruction, std::vector<c10::IValue>& stack, Values& values) {
  if (stack.size() < instruction.outputs.size()) throw InputError("it returned fewer values than the graph names");
  for (std::size_t i = 0; i < instruction.outputs.size(); ++i) {
    const std::vector<Slot>& slots = instruction.outputs[i];
    if (!instruction.output_is_list[i]) {
      if (!slots.empty()) values[slots[0]] = std::move(stack[i]);
      continue;
    }
    const auto tensors = stack[i].toTensorVector();
    if (tensors.size() != slots.size()) {
      throw InputError("it returned " + std::to_string(tensors.size()) + " tensors; the graph names " +
                       std::to_string(slots.size()));
    }
    for (std::size_t j = 0; j < slots.size(); ++j) values[slots[j]] = tensors[j];
  }
  stack.clear();
}

}  // namespace

Values Interpreter::values() const {
  Values values(plan_.slots().size());
  for (const auto& [slot, tensor] : plan_.state()) values[slot] = tensor;
  return values;
}

bool Interpreter::normalizes(const Instruction& instruction) const {
  return normalizer_ != nullptr && instruction.statistics && instruction.statistics->over_batch;
}

// What ranks normalize together is a collective in backward, too, if there is a gradient on any rank. Before the first
// parameter that is trained there is none.
bool Interpreter::records(const Instruction& instruction) const {
  return instruction.gradients && c10::GradMode::is_enabled() && (instruction.trained || !normalizes(instruction));
}

void Interpreter::execute(const Instruction& instruction, Values& values, SizeCheck* check,
                          BatchNormStatistics* found) const {
  run(instruction, values, check, [&](std::vector<c10::IValue>& stack) {
    if (normalizes(instruction)) {
      stack = {behind_batch_norm(normalizer_->normalize(batch_norm_call(stack), found), stack)};
    } else {
      call(instruction, stack, check);
    }
  });
}

void Interpreter::repeat(const Instruction& instruction, Values& values, const BatchNormStatistics& found) const {
  run(instruction, values, nullptr, [&](std::vector<c10::IValue>& stack) {
    if (normalizes(instruction)) {
      stack = {behind_batch_norm(normalizer_->normalize_again(batch_norm_call(stack), found), stack)};
      return;
    }
    for (const std::size_t i : instruction.updated) {
      if (stack[i].isTensor()) stack[i] = stack[i].toTensor().clone();
    }
    call(instruction, stack, nullptr);
  });
}

void Interpreter::require_statistics(const Instruction& instruction, const std::vector<c10::IValue>& stack) const {
  // Without running statistics only the output is made of the variance, and inference may do with that.
  if (!instruction.statistics->running && !trains_) return;
  const auto tensor = stack.at(0).toTensor().sizes();
  const std::span sizes(tensor.data(), tensor.size());
  if (instruction.statistics->values(sizes) != 1) return;
  throw SingleValueError(instruction.description, *instruction.statistics, sizes);
}

void Interpreter::check_arguments(const Instruction& instruction, const std::vector<c10::IValue>& stack,
                                  SizeCheck& check) const {
  std::vector<std::vector<std::string>> results;
  for (const std::vector<Slot>& slots : instruction.outputs) {
    std::vector<std::string>& names = results.emplace_back();
    for (const Slot slot : slots) names.push_back(plan_.slots().name(slot));
  }
  check.before(std::get<c10::OperatorHandle>(instruction.operation), stack, results);
}

void Interpreter::run(const Instruction& instruction, Values& values, SizeCheck* check, const Call& call) const {
  std::vector<c10::IValue> stack;
  const auto failed = [&] { return instruction.description + " failed"; };
  const c10::AutoGradMode gradients(records(instruction));
  const c10::impl::ExcludeDispatchKeyGuard autocast(instruction.autocast ? c10::DispatchKeySet()
                                                                         : c10::autocast_dispatch_keyset);
  try {
    for (const ArgumentSource& argument : instruction.arguments) stack.push_back(load(argument, values));
    call(stack);
    store(instruction, stack, values);
    if (!check) return;
    for (const std::vector<Slot>& slots : instruction.outputs) {
      for (const Slot slot : slots) {
        if (values[slot].isTensor()) check->found(plan_.slots().name(slot), values[slot].toTensor());
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

void Interpreter::call(const Instruction& instruction, std::vector<c10::IValue>& stack, SizeCheck* check) const {
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

void Interpreter::normalize_nothing(const Instruction& instruction, const Values& values) const {
  if (!normalizes(instruction)) return;
  std::vector<c10::IValue> stack = {{}};
  for (std::size_t i = 1; i < instruction.arguments.size(); ++i) {
    stack.push_back(load(instruction.arguments[i], values));
  }
  for (std::size_t i = 1; i <= 4; ++i) {  // one of them says how many channels there are
    if (const at::Tensor known = tensor_in(stack[i]); known.defined()) {
      stack[0] = at::empty({0, known.size(0)}, known.options().requires_grad(false));
    }
  }
  const c10::AutoGradMode gradients(records(instruction));
  normalizer_->normalize(batch_norm_call(stack), nullptr);
}

}  // namespace lockstep
