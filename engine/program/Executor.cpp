#include "engine/program/Executor.h"

#include <ATen/ScalarOps.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <new>
#include <set>
#include <stdexcept>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/TorchError.h"

namespace lockstep {

namespace {

at::Tensor wrapped_number(const c10::Scalar& value) {
  at::Tensor tensor = at::scalar_to_tensor(value);
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);  // takes part in type promotion as a Python number does
  return tensor;
}

c10::OperatorHandle resolve(const Node& node) {
  if (const auto found = find_operator(node.target)) return *found;
  if (node.target.starts_with("torch.ops.higher_order.")) {
    throw InputError("control flow (higher-order operators) is not supported; export the model without it");
  }
  throw InputError("it is not known; this build has the operators of PyTorch " TORCH_VERSION " and no others");
}

[[noreturn]] void overflow() { throw InputError("arithmetic on sizes leaves 64 bits"); }

// The three that the compiler checks.
std::int64_t add(std::int64_t a, std::int64_t b) {
  std::int64_t result;
  return __builtin_add_overflow(a, b, &result) ? (overflow(), 0) : result;
}
std::int64_t subtract(std::int64_t a, std::int64_t b) {
  std::int64_t result;
  return __builtin_sub_overflow(a, b, &result) ? (overflow(), 0) : result;
}
std::int64_t multiply(std::int64_t a, std::int64_t b) {
  std::int64_t result;
  return __builtin_mul_overflow(a, b, &result) ? (overflow(), 0) : result;
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == 0) throw InputError("integer division by zero");
  if (b == -1) return subtract(0, a);  // the one quotient that can overflow
  return a / b - ((a % b != 0 && (a % b < 0) != (b < 0)) ? 1 : 0);
}

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) throw InputError("integer power with a negative exponent");
  std::int64_t result = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result = multiply(result, base);
    if (exponent > 1) base = multiply(base, base);
  }
  return result;
}

// "layer stem.norm, operator …": by what the node's parameters and buffers are called.
std::string describe_with_layer(const Node& node, const Graph& graph) {
  for (const char* argument : {"running_var", "weight"}) {
    const std::string value = node.tensor(argument);
    for (const GraphInput& input : graph.inputs) {
      if (value.empty() || input.value != value) continue;
      return "layer " + input.state_name.substr(0, input.state_name.rfind('.')) + ", " + describe(node);
    }
  }
  return describe(node);
}

// The exporter writes down the type of every tensor that the model converts, and autocast, or a factory that knows its
// type from no other tensor, gives another. The conversion that follows takes any.
bool names_real_type(const Argument& argument) {
  const auto* number = std::get_if<ScalarTypeNumber>(&argument);
  return number && c10::isFloatingType(scalar_type_from_archive(number->value));
}

// Whether the dispatcher passes an enumeration as a plain integer, which operators believe whatever it is.
bool is_enumeration(const c10::Argument& argument) {
  auto type = argument.real_type();
  if (auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  return type->kind() == c10::TypeKind::ScalarTypeType || type->kind() == c10::TypeKind::LayoutType ||
         type->kind() == c10::TypeKind::MemoryFormatType;
}

// A schema that wants int[6] is held to it by nothing else: operators read six. One integer stands for all of them.
template <typename Integer>
std::vector<Integer> of_stated_length(const std::vector<Integer>& given, const c10::Argument* schema) {
  const std::int64_t wanted = schema ? schema->N().value_or(0) : 0;
  if (wanted < 2 || std::ssize(given) == wanted) return given;
  if (given.size() == 1) return std::vector<Integer>(static_cast<std::size_t>(wanted), given[0]);
  const std::optional<c10::IValue>& usual = schema->default_value();
  if (given.empty() && usual && usual->isIntList() && usual->toIntList().empty()) return given;
  throw InputError("its argument " + in_quotes(schema->name()) + " takes " + std::to_string(wanted) +
                   " integers, not " + std::to_string(given.size()));
}

c10::Device device_of(const Program& program) {
  const std::vector<StateTensor> state = program.state();
  return state.empty() ? c10::Device(c10::kCPU) : state[0].tensor.device();
}

}  // namespace

Executor::Executor(const Program& program, bool trains) : trains_(trains), device_(device_of(program)) {
  for (const GraphInput& input : program.graph().inputs) {
    const Slot slot = define(input.value);
    if (input.kind == InputKind::kUserInput) {
      inputs_.push_back(slot);
    } else {
      state_.emplace_back(slot, program.tensor(input));
    }
  }
  for (const Node& node : program.graph().nodes) {
    descriptions_.push_back(batch_statistics(node) ? describe_with_layer(node, program.graph()) : describe(node));
    instructions_.push_back(compile(node));
  }
  for (const std::string& output : program.graph().outputs) outputs_.push_back(slot_of(output));
  mark_last_uses();
  values_.resize(names_.size());
  for (const auto& [slot, tensor] : state_) values_[slot] = tensor;
}

Executor::Slot Executor::slot_of(const std::string& value) const {
  const auto found = slots_.find(value);
  if (found == slots_.end()) throw InputError("the graph uses " + in_quotes(value) + " before anything defines it");
  return found->second;
}

Executor::Slot Executor::define(const std::string& value) {
  const Slot slot = names_.size();
  // A list may hold tensors without a name, which nothing can read.
  if (!value.empty() && !slots_.emplace(value, slot).second) {
    throw InputError("the graph defines " + in_quotes(value) + " twice");
  }
  names_.push_back(value);
  return slot;
}

Executor::Source Executor::source(const Argument& argument, const c10::Argument* schema) const {
  // The type the operator wants, without its optional. Arithmetic on sizes has no schema and wants integers.
  c10::TypePtr type = schema ? schema->type() : c10::TypePtr(c10::IntType::get());
  if (auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  if (schema && is_enumeration(*schema) && !std::holds_alternative<NoneArgument>(argument) &&
      !std::holds_alternative<ScalarTypeNumber>(argument) && !std::holds_alternative<LayoutNumber>(argument) &&
      !std::holds_alternative<MemoryFormatNumber>(argument)) {
    throw InputError("its argument " + in_quotes(schema->name()) + " is no type of elements, layout or order");
  }
  const bool wants_tensor = type->kind() == c10::TypeKind::TensorType;
  const bool wants_float = type->kind() == c10::TypeKind::FloatType;
  const auto number = [&](const c10::Scalar& value) -> Source {
    if (wants_tensor) return c10::IValue(wrapped_number(value));
    if (wants_float) return c10::IValue(value.toDouble());
    return c10::IValue(value);
  };
  struct Visitor {
    const Executor& self;
    const c10::Argument* schema;
    const c10::TypePtr& type;
    bool wants_tensor;
    const decltype(number)& as_number;

    Source operator()(const NoneArgument&) const { return c10::IValue(); }
    Source operator()(const TensorName& tensor) const { return self.slot_of(tensor.name); }
    Source operator()(const TensorNames& tensors) const {
      TensorList list{.slots = {}, .optional_entries = false};
      if (auto wanted = type->cast<c10::ListType>()) {
        list.optional_entries = wanted->getElementType()->kind() == c10::TypeKind::OptionalType;
      }
      for (const auto& name : tensors.names) {
        list.slots.push_back(name ? std::optional(self.slot_of(*name)) : std::nullopt);
      }
      return list;
    }
    Source operator()(std::int64_t value) const {
      if (type->kind() == c10::TypeKind::ListType) {  // a single integer stands for int[n]
        return c10::IValue(std::vector<std::int64_t>(schema ? schema->N().value_or(1) : 1, value));
      }
      return as_number(value);
    }
    Source operator()(double value) const { return as_number(value); }
    Source operator()(bool value) const {
      return wants_tensor ? Source(c10::IValue(wrapped_number(value))) : Source(c10::IValue(value));
    }
    Source operator()(const std::string& value) const { return c10::IValue(value); }
    Source operator()(const std::vector<std::int64_t>& given) const {
      const std::vector<std::int64_t> values = of_stated_length(given, schema);
      if (auto list = type->cast<c10::ListType>(); list && list->getElementType()->kind() == c10::TypeKind::FloatType) {
        return c10::IValue(std::vector<double>(values.begin(), values.end()));
      }
      return c10::IValue(values);
    }
    Source operator()(const std::vector<double>& values) const { return c10::IValue(values); }
    Source operator()(const std::vector<bool>& values) const {
      c10::List<bool> list;
      for (const bool value : values) list.push_back(value);
      return c10::IValue(list);
    }
    Source operator()(const SymInt& value) const {
      if (const auto* known = std::get_if<std::int64_t>(&value)) return (*this)(*known);
      const Slot slot = self.slot_of(std::get<std::string>(value));
      return wants_tensor ? Source(WrappedNumber{slot}) : Source(slot);
    }
    Source operator()(const std::vector<SymInt>& given) const {
      IntList list;
      for (const SymInt& value : of_stated_length(given, schema)) {
        if (const auto* known = std::get_if<std::int64_t>(&value)) {
          list.entries.emplace_back(std::in_place_index<0>, *known);
        } else {
          list.entries.emplace_back(std::in_place_index<1>, self.slot_of(std::get<std::string>(value)));
        }
      }
      return list;
    }
    Source operator()(ScalarTypeNumber number) const {
      return c10::IValue(static_cast<std::int64_t>(scalar_type_from_archive(number.value)));
    }
    Source operator()(LayoutNumber number) const {
      if (number.value != 7)
        throw InputError("layout " + std::to_string(number.value) + " is not supported: only strided is");
      return c10::IValue(static_cast<std::int64_t>(c10::kStrided));
    }
    Source operator()(MemoryFormatNumber number) const {
      const std::map<int, c10::MemoryFormat> formats = {{1, c10::MemoryFormat::Contiguous},
                                                        {2, c10::MemoryFormat::ChannelsLast},
                                                        {3, c10::MemoryFormat::ChannelsLast3d},
                                                        {4, c10::MemoryFormat::Preserve}};
      const auto found = formats.find(number.value);
      if (found == formats.end()) throw InputError("memory format " + std::to_string(number.value) + " is not known");
      return c10::IValue(static_cast<std::int64_t>(found->second));
    }
    // The device that the example inputs were on says nothing about where this rank computes.
    Source operator()(const DeviceArgument&) const { return c10::IValue(self.device_); }
    Source operator()(const OpaqueArgument& opaque) const {
      throw InputError("an argument of kind " + in_quotes(opaque.json.begin().key()) + " is not supported");
    }
  };
  return std::visit(Visitor{*this, schema, type, wants_tensor, number}, argument);
}

Executor::Instruction Executor::compile(const Node& node) {
  static const std::map<std::string, std::pair<Arithmetic, std::size_t>> arithmetic = {
      {"_operator.add", {Arithmetic::kAdd, 2}}, {"_operator.sub", {Arithmetic::kSub, 2}},
      {"_operator.mul", {Arithmetic::kMul, 2}}, {"_operator.floordiv", {Arithmetic::kFloorDiv, 2}},
      {"_operator.mod", {Arithmetic::kMod, 2}}, {"_operator.neg", {Arithmetic::kNeg, 1}},
      {"_operator.pow", {Arithmetic::kPow, 2}}, {"_operator.eq", {Arithmetic::kEq, 2}},
      {"_operator.ne", {Arithmetic::kNe, 2}},   {"_operator.lt", {Arithmetic::kLt, 2}},
      {"_operator.le", {Arithmetic::kLe, 2}},   {"_operator.gt", {Arithmetic::kGt, 2}},
      {"_operator.ge", {Arithmetic::kGe, 2}},
  };
  try {
    std::vector<Source> arguments;
    std::variant<c10::OperatorHandle, Arithmetic> operation = Arithmetic::kAdd;
    if (const auto found = arithmetic.find(node.target); found != arithmetic.end()) {
      operation = found->second.first;
      for (const NamedArgument& input : node.inputs) arguments.push_back(source(input.value, nullptr));
      if (arguments.size() != found->second.second)
        throw InputError("it has " + std::to_string(arguments.size()) + " arguments");
    } else {
      const c10::OperatorHandle handle = resolve(node);
      operation = handle;
      std::set<std::string> known;
      const auto is_of = [](const c10::Argument& argument, c10::TypeKind kind) {
        auto type = argument.type();
        if (auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
        return type->kind() == kind;
      };
      // What makes a tensor of nothing makes it on the CPU, unless it is told otherwise.
      const bool of_nothing = std::ranges::none_of(handle.schema().arguments(), [&](const c10::Argument& argument) {
        return is_of(argument, c10::TypeKind::TensorType);
      });
      for (const c10::Argument& wanted : handle.schema().arguments()) {
        known.insert(wanted.name());
        if (of_nothing && is_of(wanted, c10::TypeKind::DeviceObjType)) {
          arguments.emplace_back(c10::IValue(device_));
        } else if (const Argument* given = node.find(wanted.name())) {
          const bool open = wanted.name() == "dtype" && node.asserts_metadata() && names_real_type(*given);
          arguments.push_back(open ? Source(c10::IValue()) : source(*given, &wanted));
        } else if (wanted.default_value()) {
          arguments.emplace_back(*wanted.default_value());
        } else {
          throw InputError("its argument " + in_quotes(wanted.name()) + " is missing");
        }
      }
      for (const NamedArgument& input : node.inputs) {
        if (!known.contains(input.name)) throw InputError("it takes no argument " + in_quotes(input.name));
      }
    }
    const auto* called = std::get_if<c10::OperatorHandle>(&operation);
    Instruction instruction{.operation = operation,
                            .guard = called ? argument_guard(called->schema().name()) : nullptr,
                            .arguments = std::move(arguments),
                            .outputs = {},
                            .output_is_list = {},
                            .last_uses = {},
                            .statistics = batch_statistics(node),
                            .node = instructions_.size()};
    for (const Argument& output : node.outputs) {
      std::vector<Slot> slots;
      bool list = false;
      if (const auto* tensor = std::get_if<TensorName>(&output)) {
        slots.push_back(define(tensor->name));
      } else if (const auto* tensors = std::get_if<TensorNames>(&output)) {
        list = true;
        for (const auto& name : tensors->names) slots.push_back(define(name.value_or("")));
      } else if (const auto* integer = std::get_if<SymInt>(&output)) {
        const auto* name = std::get_if<std::string>(integer);
        if (!name) throw InputError("it returns an integer without a name");
        slots.push_back(define(*name));
      } else if (!std::holds_alternative<NoneArgument>(output)) {
        throw InputError("it returns something that is neither a tensor nor an integer");
      }
      instruction.outputs.push_back(std::move(slots));
      instruction.output_is_list.push_back(list);
    }
    return instruction;
  } catch (const InputError& error) {
    throw InputError(describe(node) + ": " + error.what());
  }
}

void Executor::mark_last_uses() {
  // Parameters, buffers and constants stay; what the program returns goes when it is returned.
  std::vector<bool> settled(names_.size(), false);
  for (const auto& [slot, tensor] : state_) settled[slot] = true;
  for (const Slot slot : outputs_) settled[slot] = true;
  for (auto instruction = instructions_.rbegin(); instruction != instructions_.rend(); ++instruction) {
    const auto use = [&](Slot slot) {
      if (settled[slot]) return;
      settled[slot] = true;
      instruction->last_uses.push_back(slot);
    };
    for (const Source& argument : instruction->arguments) {
      if (const auto* slot = std::get_if<Slot>(&argument)) use(*slot);
      if (const auto* number = std::get_if<WrappedNumber>(&argument)) use(number->slot);
      if (const auto* list = std::get_if<IntList>(&argument)) {
        for (const auto& entry : list->entries) {
          if (const auto* slot = std::get_if<1>(&entry)) use(*slot);
        }
      }
      if (const auto* list = std::get_if<TensorList>(&argument)) {
        for (const auto& slot : list->slots) {
          if (slot) use(*slot);
        }
      }
    }
    for (const auto& output : instruction->outputs) std::ranges::for_each(output, use);  // results nobody uses
  }
}

c10::IValue Executor::load(const Source& source) const {
  if (const auto* constant = std::get_if<c10::IValue>(&source)) return *constant;
  if (const auto* slot = std::get_if<Slot>(&source)) return values_[*slot];
  if (const auto* number = std::get_if<WrappedNumber>(&source)) {
    return c10::IValue(wrapped_number(values_[number->slot].toScalar()));
  }
  if (const auto* list = std::get_if<IntList>(&source)) {
    std::vector<std::int64_t> values;
    values.reserve(list->entries.size());
    for (const auto& entry : list->entries) {
      const auto* slot = std::get_if<1>(&entry);
      values.push_back(slot ? values_[*slot].toInt() : std::get<0>(entry));
    }
    return c10::IValue(std::move(values));
  }
  const auto& list = std::get<TensorList>(source);
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
  throw SingleValueError(descriptions_[instruction.node], *instruction.statistics, sizes);
}

void Executor::check_arguments(const Instruction& instruction, const std::vector<c10::IValue>& stack,
                               SizeCheck& check) const {
  std::vector<std::vector<std::string>> results;
  for (const std::vector<Slot>& slots : instruction.outputs) {
    std::vector<std::string>& names = results.emplace_back();
    for (const Slot slot : slots) names.push_back(names_[slot]);
  }
  check.before(std::get<c10::OperatorHandle>(instruction.operation), stack, results);
}

std::vector<at::Tensor> Executor::run(const std::vector<at::Tensor>& inputs, SizeCheck* check) {
  if (inputs.size() != inputs_.size()) {
    throw InputError("the program takes " + std::to_string(inputs_.size()) + " inputs, not " +
                     std::to_string(inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    values_[inputs_[i]] = inputs[i];
    if (check) check->found(names_[inputs_[i]], inputs[i]);
  }
  std::vector<c10::IValue> stack;
  for (const Instruction& instruction : instructions_) {
    try {
      for (const Source& argument : instruction.arguments) stack.push_back(load(argument));
      if (instruction.statistics) require_statistics(instruction, stack);
      if (const auto* handle = std::get_if<c10::OperatorHandle>(&instruction.operation)) {
        if (check) check_arguments(instruction, stack, *check);
        if (instruction.guard) instruction.guard(stack);
        handle->callBoxed(&stack);
      } else {
        const std::int64_t a = stack[0].toInt();
        const std::int64_t b = stack.size() > 1 ? stack[1].toInt() : 0;
        stack.clear();
        switch (std::get<Arithmetic>(instruction.operation)) {
          case Arithmetic::kAdd:
            stack.emplace_back(add(a, b));
            break;
          case Arithmetic::kSub:
            stack.emplace_back(subtract(a, b));
            break;
          case Arithmetic::kMul:
            stack.emplace_back(multiply(a, b));
            break;
          case Arithmetic::kFloorDiv:
            stack.emplace_back(floor_div(a, b));
            break;
          case Arithmetic::kMod:
            stack.emplace_back(subtract(a, multiply(floor_div(a, b), b)));
            break;
          case Arithmetic::kNeg:
            stack.emplace_back(subtract(0, a));
            break;
          case Arithmetic::kPow:
            stack.emplace_back(power(a, b));
            break;
          case Arithmetic::kEq:
            stack.emplace_back(a == b);
            break;
          case Arithmetic::kNe:
            stack.emplace_back(a != b);
            break;
          case Arithmetic::kLt:
            stack.emplace_back(a < b);
            break;
          case Arithmetic::kLe:
            stack.emplace_back(a <= b);
            break;
          case Arithmetic::kGt:
            stack.emplace_back(a > b);
            break;
          case Arithmetic::kGe:
            stack.emplace_back(a >= b);
            break;
        }
      }
      store(instruction, stack);
      for (const std::vector<Slot>& slots : instruction.outputs) {
        for (const Slot slot : slots) {
          if (check && values_[slot].isTensor()) check->found(names_[slot], values_[slot].toTensor());
        }
      }
    } catch (const c10::Error& error) {
      rethrow(error, descriptions_[instruction.node] + " failed");
    } catch (const SingleValueError&) {
      throw;
    } catch (const InputError& error) {
      throw InputError(descriptions_[instruction.node] + " failed: " + error.what());
    } catch (const std::bad_alloc&) {
      throw OutOfMemoryError(descriptions_[instruction.node] + " failed");
    } catch (const std::length_error& error) {  // of a list of sizes or tensors that libtorch makes
      throw InputError(descriptions_[instruction.node] + " failed: " + error.what());
    } catch (const std::out_of_range& error) {
      throw InputError(descriptions_[instruction.node] + " failed: " + error.what());
    }
    for (const Slot slot : instruction.last_uses) values_[slot] = {};
  }
  std::vector<at::Tensor> outputs;
  for (const Slot slot : outputs_) {
    if (!values_[slot].isTensor()) {
      throw InputError("the program returns " + in_quotes(names_[slot]) + ", which is no tensor");
    }
    outputs.push_back(values_[slot].toTensor());
  }
  for (const Slot slot : outputs_) {
    if (std::ranges::find(state_, slot, &std::pair<Slot, at::Tensor>::first) == state_.end()) values_[slot] = {};
  }
  return outputs;
}

}  // namespace lockstep
