#include "engine/artifacts/torchscript/TorchscriptModule.h"

#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/artifacts/torchscript/TorchscriptState.h"
#include "engine/program/ExecutionPlan.h"

namespace lockstep {

namespace jit = torch::jit;

namespace {

// What only states what the exporter found, or bounds a size: it computes nothing.
bool states_only(const Node& node) {
  static const std::set<std::string> names = {"_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range",
                                              "sym_constrain_range_for_size"};
  return names.contains(node.aten_name());
}

c10::Symbol aten(const std::string& name) { return c10::Symbol::fromQualString("aten::" + name); }

// Writes the nodes of a program into the graph of a module's `forward`.
class TorchscriptWriter {
 public:
  TorchscriptWriter(const Program& program, bool named_outputs)
      : program_(program),
        named_outputs_(named_outputs),
        plan_(program),
        state_(program),
        values_(plan_.slots().size(), nullptr) {}

  jit::Module write() {
    self_ = graph_->addInput("self")->setType(state_.root().type());
    for (const Slot slot : plan_.inputs()) values_[slot] = graph_->addInput(argument_name(plan_.slots().name(slot)));
    read_state();
    read_device();
    for (std::size_t i = 0; i < plan_.instructions().size(); ++i) {
      const Node& node = program_.graph().nodes[i];
      if (!states_only(node)) write(node, plan_.instructions()[i]);
    }
    write_outputs();
    const jit::Module root = state_.root();
    root.type()->addMethod(
        root.type()->compilation_unit()->create_function(c10::QualifiedName(*root.type()->name(), "forward"), graph_));
    return root;
  }

 private:
  static std::string argument_name(const std::string& name) { return name == "self" ? "self_" : name; }

  // Only what a node reads is fetched.
  void read_state() {
    std::set<Slot> read(plan_.outputs().begin(), plan_.outputs().end());
    for (const Instruction& instruction : plan_.instructions()) {
      instruction.for_each_read([&](Slot slot) { read.insert(slot); });
    }
    auto held = plan_.state().begin();
    for (const GraphInput& input : program_.graph().inputs) {
      if (input.kind == InputKind::kUserInput) continue;
      const Slot slot = (held++)->first;
      if (!read.contains(slot)) continue;
      jit::Value* value = self_;
      for (const std::string& name : state_.path(input)) value = graph_->insertGetAttr(value, name);
      values_[slot] = value;
    }
  }

  // What is made of nothing is made where the inputs are.
  void read_device() {
    const auto names_device = [](const ArgumentSource& source) {
      const auto* known = std::get_if<c10::IValue>(&source);
      return known && known->isDevice();
    };
    if (plan_.inputs().empty() || std::ranges::none_of(plan_.instructions(), [&](const Instruction& instruction) {
          return std::ranges::any_of(instruction.arguments, names_device);
        })) {
      return;
    }
    device_ = graph_->insertNode(graph_->create(c10::prim::device, {values_[plan_.inputs()[0]]}))->output();
    device_->setType(c10::DeviceObjType::get());
  }

  jit::Value* constant(const c10::IValue& value) {
    if (value.isDevice() && device_) return device_;
    if (value.isTensor()) return graph_->insertConstant(value.toTensor().item());  // a number in place of a tensor
    return graph_->insertConstant(value);
  }

  jit::Value* list(const c10::TypePtr& type, const std::vector<jit::Value*>& entries) {
    return graph_->insertNode(graph_->createList(type, entries))->output();
  }

  jit::Value* value(const ArgumentSource& source) {
    if (const auto* known = std::get_if<c10::IValue>(&source)) return constant(*known);
    if (const auto* slot = std::get_if<Slot>(&source)) return values_.at(*slot);
    if (const auto* number = std::get_if<WrappedNumberSource>(&source)) return values_.at(number->slot);
    std::vector<jit::Value*> entries;
    if (const auto* integers = std::get_if<IntListSource>(&source)) {
      for (const auto& entry : integers->entries) {
        const auto* slot = std::get_if<1>(&entry);
        entries.push_back(slot ? values_.at(*slot) : graph_->insertConstant(std::get<0>(entry)));
      }
      return list(c10::IntType::get(), entries);
    }
    const auto& tensors = std::get<TensorListSource>(source);
    for (const auto& slot : tensors.slots) {
      entries.push_back(slot ? values_.at(*slot) : graph_->insertConstant(c10::IValue()));
    }
    const c10::TypePtr tensor = c10::TensorType::get();
    return list(tensors.optional_entries ? c10::OptionalType::create(tensor) : tensor, entries);
  }

  void write(const Node& node, const Instruction& instruction) {
    try {
      jit::Value* const result = std::holds_alternative<const SizeOperator*>(instruction.operation)
                                     ? write_size(node, instruction)
                                     : write_operator(instruction);
      if (result) define(node, instruction, result);
    } catch (const c10::Error& error) {
      refuse(node, error.what_without_backtrace());
    } catch (const InputError&) {
      throw;
    } catch (const std::exception& error) {  // TorchScript's ErrorReport
      refuse(node, error.what());
    }
  }

  [[noreturn]] static void refuse(const Node& node, const std::string& why) {
    throw InputError(describe(node) + " cannot be written into a TorchScript module: " + why);
  }

  // Sizes are Python's integers there.
  jit::Value* write_size(const Node& node, const Instruction& instruction) {
    static const std::map<std::string, std::string> other = {{"mod", "remainder"}};
    const std::string name = node.target.substr(node.target.find('.') + 1);
    std::vector<jit::NamedValue> operands;
    for (const ArgumentSource& operand : instruction.arguments) operands.emplace_back(value(operand));
    if (name == "pow") return power(operands.at(0).value(*graph_), instruction.arguments.at(1));
    const auto found = other.find(name);
    return graph_->insert(aten(found == other.end() ? name : found->second), operands);
  }

  // aten::pow of two integers is a real number there.
  jit::Value* power(jit::Value* base, const ArgumentSource& exponent) {
    constexpr std::int64_t kMost = 16;
    const auto* known = std::get_if<c10::IValue>(&exponent);
    if (!known || !known->isInt() || known->toInt() < 0 || known->toInt() > kMost) {
      throw InputError("a size is raised to a power that is no integer from 0 to " + std::to_string(kMost));
    }
    jit::Value* product = graph_->insertConstant(std::int64_t{1});
    for (std::int64_t i = 0; i < known->toInt(); ++i) product = graph_->insert(c10::aten::mul, {product, base});
    return product;
  }

  jit::Value* write_operator(const Instruction& instruction) {
    const c10::FunctionSchema& schema = std::get<c10::OperatorHandle>(instruction.operation).schema();
    std::vector<jit::Value*> arguments;
    for (const ArgumentSource& source : instruction.arguments) arguments.push_back(value(source));
    if (schema.name() == "aten::sym_size") return graph_->insert(c10::aten::size, {arguments.at(0), arguments.at(1)});
    if (schema.name() == "aten::sym_numel") return graph_->insert(aten("numel"), {arguments.at(0)});
    if (schema.name() == "aten::sym_stride") return graph_->insert(aten("stride"), {arguments.at(0), arguments.at(1)});
    const auto call = [&] {
      std::vector<jit::NamedValue> named;
      for (std::size_t i = 0; i < arguments.size(); ++i) {
        named.emplace_back(schema.arguments()[i].name(), arguments[i]);
      }
      return graph_->insert(c10::Symbol::fromQualString(schema.name()), {}, named);
    };
    try {
      return call();
    } catch (const std::exception&) {
      if (!convert_numbers(schema, arguments)) throw;
      return call();
    }
  }

  // Most operators that take a tensor have a form that takes a number; the others are given a tensor of it. A truth
  // value is no number there.
  bool convert_numbers(const c10::FunctionSchema& schema, std::vector<jit::Value*>& arguments) {
    bool any = false;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const c10::TypePtr& wanted = schema.arguments()[i].type();
      const bool tensor = wanted->isSubtypeOf(*c10::OptionalType::ofTensor());
      const bool truth = arguments[i]->type()->isSubtypeOf(*c10::BoolType::get());
      if (truth && (tensor || c10::NumberType::get()->isSubtypeOf(*wanted))) {
        arguments[i] = graph_->insert(aten("Int"), {arguments[i]});
        any = true;
      }
      if (!tensor || !arguments[i]->type()->isSubtypeOf(*c10::NumberType::get())) continue;
      arguments[i] = graph_->insertNode(graph_->create(c10::prim::NumToTensor, {arguments[i]}))->output();
      any = true;
    }
    return any;
  }

  void define(const Node& node, const Instruction& instruction, jit::Value* result) {
    std::vector<jit::Value*> results = {result};
    if (result->node()->kind() == c10::prim::TupleConstruct) {  // of what an operator returns
      const auto parts = result->node()->inputs();
      results.assign(parts.begin(), parts.end());
      result->node()->destroy();
    }
    if (results.size() < instruction.outputs.size()) refuse(node, "it returns fewer values than the graph names");
    for (std::size_t i = 0; i < instruction.outputs.size(); ++i) {
      const std::vector<Slot>& slots = instruction.outputs[i];
      if (instruction.output_is_list[i]) {
        jit::Node* const unpacked = graph_->insertNode(graph_->createListUnpack(results[i], slots.size()));
        for (std::size_t j = 0; j < slots.size(); ++j) bind(slots[j], unpacked->output(j));
      } else if (!slots.empty()) {
        bind(slots[0], results[i]);
      }
    }
  }

  void bind(Slot slot, jit::Value* value) {
    values_[slot] = value;
    const std::string& name = plan_.slots().name(slot);
    const bool is_name = !name.empty() && (name[0] < '0' || name[0] > '9');  // a number is none there
    if (is_name && value->node()->kind() != c10::prim::Param) value->setDebugName(name);
  }

  void write_outputs() {
    std::vector<jit::Value*> returned;
    for (const Slot slot : plan_.outputs()) returned.push_back(values_.at(slot));
    const std::vector<std::string> names = program_.graph().output_names();
    const bool named = std::ranges::any_of(names, [](const std::string& name) { return !name.starts_with("output_"); });
    if (named_outputs_ && named) {
      std::vector<jit::Value*> keys;
      for (const std::string& name : names) keys.push_back(graph_->insertConstant(name));
      graph_->registerOutput(
          graph_->insertNode(graph_->createDict(c10::StringType::get(), c10::TensorType::get(), keys, returned))
              ->output());
    } else if (returned.size() == 1) {
      graph_->registerOutput(returned[0]);
    } else {
      graph_->registerOutput(graph_->insertNode(graph_->createTuple(returned))->output());
    }
  }

  const Program& program_;
  bool named_outputs_;
  ExecutionPlan plan_;
  TorchscriptState state_;
  std::shared_ptr<jit::Graph> graph_ = std::make_shared<jit::Graph>();
  std::vector<jit::Value*> values_;  // by slot
  jit::Value* self_ = nullptr;
  jit::Value* device_ = nullptr;
};

}  // namespace

jit::Module to_torchscript(const Program& program, bool named_outputs) {
  return TorchscriptWriter(program, named_outputs).write();
}

}  // namespace lockstep
