#include "engine/program/ArgumentConversion.h"

#include <ATen/ScalarOps.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/Program.h"

namespace lockstep {

namespace {

// The exporter writes down the type of every tensor that the model converts, and autocast, or a factory that knows its
// type from no other tensor, gives another. The conversion that follows takes any.
bool names_real_type(const Argument& argument) {
  const auto* number = std::get_if<ScalarTypeNumber>(&argument);
  return number && c10::isFloatingType(scalar_type_from_archive(number->value));
}

c10::TypePtr without_optional(const c10::TypePtr& type) {
  const auto optional = type->cast<c10::OptionalType>();
  return optional ? optional->getElementType() : type;
}

// Whether the dispatcher passes an enumeration as a plain integer, which operators believe whatever it is.
bool is_enumeration(const c10::Argument& argument) {
  const c10::TypeKind kind = without_optional(argument.real_type())->kind();
  return kind == c10::TypeKind::ScalarTypeType || kind == c10::TypeKind::LayoutType ||
         kind == c10::TypeKind::MemoryFormatType;
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

bool is_of(const c10::Argument& argument, c10::TypeKind kind) {
  return without_optional(argument.type())->kind() == kind;
}

// Converts each kind of argument to what an operator wants.
struct Converter {
  const ValueSlots& slots;
  c10::Device device;
  const c10::Argument* schema;  // nullptr for arithmetic on sizes
  c10::TypePtr type;            // that the operator wants, without its optional

  bool wants_tensor() const { return type->kind() == c10::TypeKind::TensorType; }

  ArgumentSource number(const c10::Scalar& value) const {
    if (wants_tensor()) return c10::IValue(wrapped_number(value));
    if (type->kind() == c10::TypeKind::FloatType) return c10::IValue(value.toDouble());
    return c10::IValue(value);
  }

  ArgumentSource operator()(const NoneArgument&) const { return c10::IValue(); }
  ArgumentSource operator()(const TensorName& tensor) const { return slots.find(tensor.name); }
  ArgumentSource operator()(const TensorNames& tensors) const {
    TensorListSource list{.slots = {}, .optional_entries = false};
    if (auto wanted = type->cast<c10::ListType>()) {
      list.optional_entries = wanted->getElementType()->kind() == c10::TypeKind::OptionalType;
    }
    for (const auto& name : tensors.names) {
      list.slots.push_back(name ? std::optional(slots.find(*name)) : std::nullopt);
    }
    return list;
  }
  ArgumentSource operator()(std::int64_t value) const {
    if (type->kind() == c10::TypeKind::ListType) {  // a single integer stands for int[n]
      return c10::IValue(std::vector<std::int64_t>(schema ? schema->N().value_or(1) : 1, value));
    }
    return number(value);
  }
  ArgumentSource operator()(double value) const { return number(value); }
  ArgumentSource operator()(bool value) const {
    return wants_tensor() ? ArgumentSource(c10::IValue(wrapped_number(value))) : ArgumentSource(c10::IValue(value));
  }
  ArgumentSource operator()(const std::string& value) const { return c10::IValue(value); }
  ArgumentSource operator()(const std::vector<std::int64_t>& given) const {
    const std::vector<std::int64_t> values = of_stated_length(given, schema);
    if (auto list = type->cast<c10::ListType>(); list && list->getElementType()->kind() == c10::TypeKind::FloatType) {
      return c10::IValue(std::vector<double>(values.begin(), values.end()));
    }
    return c10::IValue(values);
  }
  ArgumentSource operator()(const std::vector<double>& values) const { return c10::IValue(values); }
  ArgumentSource operator()(const std::vector<bool>& values) const {
    c10::List<bool> list;
    for (const bool value : values) list.push_back(value);
    return c10::IValue(list);
  }
  ArgumentSource operator()(const SymInt& value) const {
    if (const auto* known = std::get_if<std::int64_t>(&value)) return (*this)(*known);
    const Slot slot = slots.find(std::get<std::string>(value));
    return wants_tensor() ? ArgumentSource(WrappedNumberSource{slot}) : ArgumentSource(slot);
  }
  ArgumentSource operator()(const std::vector<SymInt>& given) const {
    IntListSource list;
    for (const SymInt& value : of_stated_length(given, schema)) {
      if (const auto* known = std::get_if<std::int64_t>(&value)) {
        list.entries.emplace_back(std::in_place_index<0>, *known);
      } else {
        list.entries.emplace_back(std::in_place_index<1>, slots.find(std::get<std::string>(value)));
      }
    }
    return list;
  }
  ArgumentSource operator()(ScalarTypeNumber number) const {
    return c10::IValue(static_cast<std::int64_t>(scalar_type_from_archive(number.value)));
  }
  ArgumentSource operator()(LayoutNumber number) const {
    if (number.value != 7)
      throw InputError("layout " + std::to_string(number.value) + " is not supported: only strided is");
    return c10::IValue(static_cast<std::int64_t>(c10::kStrided));
  }
  ArgumentSource operator()(MemoryFormatNumber number) const {
    const std::map<int, c10::MemoryFormat> formats = {{1, c10::MemoryFormat::Contiguous},
                                                      {2, c10::MemoryFormat::ChannelsLast},
                                                      {3, c10::MemoryFormat::ChannelsLast3d},
                                                      {4, c10::MemoryFormat::Preserve}};
    const auto found = formats.find(number.value);
    if (found == formats.end()) throw InputError("memory format " + std::to_string(number.value) + " is not known");
    return c10::IValue(static_cast<std::int64_t>(found->second));
  }
  // The device that the example inputs were on says nothing about where this rank computes.
  ArgumentSource operator()(const DeviceArgument&) const { return c10::IValue(device); }
  ArgumentSource operator()(const OpaqueArgument& opaque) const {
    throw InputError("an argument of kind " + in_quotes(opaque.json.begin().key()) + " is not supported");
  }
};

}  // namespace

at::Tensor wrapped_number(const c10::Scalar& value) {
  at::Tensor tensor = at::scalar_to_tensor(value);
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);  // takes part in type promotion as a Python number does
  return tensor;
}

ArgumentSource ArgumentConversion::convert(const Argument& argument, const c10::Argument& schema) const {
  if (is_enumeration(schema) && !std::holds_alternative<NoneArgument>(argument) &&
      !std::holds_alternative<ScalarTypeNumber>(argument) && !std::holds_alternative<LayoutNumber>(argument) &&
      !std::holds_alternative<MemoryFormatNumber>(argument)) {
    throw InputError("its argument " + in_quotes(schema.name()) + " is no type of elements, layout or order");
  }
  return std::visit(Converter{slots_, device_, &schema, without_optional(schema.type())}, argument);
}

ArgumentSource ArgumentConversion::convert_size(const Argument& argument) const {
  return std::visit(Converter{slots_, device_, nullptr, c10::IntType::get()}, argument);
}

std::vector<ArgumentSource> ArgumentConversion::convert_all(const Node& node, const c10::FunctionSchema& schema) const {
  // What makes a tensor of nothing makes it on the CPU, unless it is told otherwise.
  const bool of_nothing = std::ranges::none_of(
      schema.arguments(), [](const c10::Argument& argument) { return is_of(argument, c10::TypeKind::TensorType); });
  std::vector<ArgumentSource> arguments;
  std::set<std::string> known;
  for (const c10::Argument& wanted : schema.arguments()) {
    known.insert(wanted.name());
    if (of_nothing && is_of(wanted, c10::TypeKind::DeviceObjType)) {
      arguments.emplace_back(c10::IValue(device_));
    } else if (const Argument* given = node.find(wanted.name())) {
      const bool open = wanted.name() == "dtype" && node.asserts_metadata() && names_real_type(*given);
      arguments.push_back(open ? ArgumentSource(c10::IValue()) : convert(*given, wanted));
    } else if (wanted.default_value()) {
      arguments.emplace_back(*wanted.default_value());
    } else {
      throw InputError("its argument " + in_quotes(wanted.name()) + " is missing");
    }
  }
  for (const NamedArgument& input : node.inputs) {
    if (!known.contains(input.name)) throw InputError("it takes no argument " + in_quotes(input.name));
  }
  return arguments;
}

}  // namespace lockstep
