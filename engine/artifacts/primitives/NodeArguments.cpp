#include "engine/artifacts/primitives/NodeArguments.h"

#include <algorithm>
#include <array>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/primitives/PrimitiveLowering.h"

namespace lockstep {

namespace {

// Where tensors lie, and in which order their elements do, is no matter of what is computed.
constexpr std::array<std::string_view, 7> kPlacement = {"device",       "layout", "pin_memory", "memory_format",
                                                        "non_blocking", "copy",   "generator"};

int width_of(ElementType type) { return static_cast<int>(size_of(type)); }

bool is_unsigned(ElementType type) { return type == ElementType::kUint8 || type == ElementType::kUint16; }

// torch.promote_types.
ElementType promoted(std::optional<ElementType> a, std::optional<ElementType> b) {
  if (!a || !b) return a ? *a : b.value();
  if (*a == *b || *b == ElementType::kBool) return *a;
  if (*a == ElementType::kBool) return *b;
  if (is_real(*a) != is_real(*b)) return is_real(*a) ? *a : *b;
  if (is_real(*a)) {
    if (width_of(*a) == width_of(*b)) return ElementType::kFloat;  // float16 and bfloat16
    return width_of(*a) > width_of(*b) ? *a : *b;
  }
  const ElementType wide = width_of(*a) >= width_of(*b) ? *a : *b;
  const ElementType narrow = wide == *a ? *b : *a;
  if (!is_unsigned(wide) && width_of(wide) > width_of(narrow)) return wide;
  return width_of(wide) == 1 ? ElementType::kInt16 : ElementType::kInt32;  // unsigned and signed
}

// c10's combine_categories: the first wins unless the second is of a higher kind.
std::optional<ElementType> combined(std::optional<ElementType> higher, std::optional<ElementType> lower) {
  if (!higher || !lower) return higher ? higher : lower;
  if (is_real(*higher)) return higher;
  if (*higher == ElementType::kBool || is_real(*lower)) return promoted(higher, lower);
  return higher;
}

ElementType type_of(const Number& number) {
  if (std::holds_alternative<bool>(number)) return ElementType::kBool;
  return std::holds_alternative<double>(number) ? ElementType::kFloat : ElementType::kInt64;
}

}  // namespace

PrimitiveBuilder& NodeArguments::builder() const { return lowering_.builder(); }

const Argument* NodeArguments::read(std::string_view name) {
  read_.emplace(name);
  const Argument* given = node_.find(name);
  return given && !std::holds_alternative<NoneArgument>(*given) ? given : nullptr;
}

bool NodeArguments::has(std::string_view name) { return read(name) != nullptr; }

std::optional<Term> NodeArguments::find(std::string_view name) {
  const Argument* given = read(name);
  const auto* tensor = given ? std::get_if<TensorName>(given) : nullptr;
  if (given && !tensor) refuse("its argument " + std::string(name) + " is no tensor");
  return tensor ? std::optional(lowering_.tensor(node_, tensor->name)) : std::nullopt;
}

Term NodeArguments::tensor(std::string_view name) {
  const std::optional<Term> found = find(name);
  if (!found) refuse("it has no tensor " + std::string(name));
  return *found;
}

std::vector<std::optional<Term>> NodeArguments::tensors(std::string_view name) {
  const Argument* given = read(name);
  const auto* list = given ? std::get_if<TensorNames>(given) : nullptr;
  if (!list) refuse("its argument " + std::string(name) + " is no list of tensors");
  std::vector<std::optional<Term>> found;
  for (const auto& each : list->names) {
    found.push_back(each ? std::optional(lowering_.tensor(node_, *each)) : std::nullopt);
  }
  return found;
}

Operand NodeArguments::operand(std::string_view name) {
  const Argument* given = read(name);
  if (!given) refuse("it has no argument " + std::string(name));
  if (const auto* tensor = std::get_if<TensorName>(given)) return {lowering_.tensor(node_, tensor->name), false};
  if (const auto* symbol = std::get_if<SymInt>(given)) {
    const Integer integer = integer_of(*symbol);
    if (const auto* id = std::get_if<ValueId>(&integer)) return {Term(builder(), *id), true};
    return {Number(std::get<std::int64_t>(integer)), true};
  }
  return {number(name, std::int64_t{0}), true};
}

Term NodeArguments::operand(std::string_view name, ElementType type) {
  return as_tensor(builder(), operand(name), type);
}

Number NodeArguments::number(std::string_view name, const Number& otherwise) {
  const Argument* given = read(name);
  if (!given) return otherwise;
  if (const auto* real = std::get_if<double>(given)) return *real;
  if (const auto* whole = std::get_if<std::int64_t>(given)) return *whole;
  if (const auto* truth = std::get_if<bool>(given)) return *truth;
  if (const auto* symbol = std::get_if<SymInt>(given)) {
    const Integer integer = integer_of(*symbol);
    if (const auto* whole = std::get_if<std::int64_t>(&integer)) return *whole;
  }
  refuse("its " + std::string(name) + " is no number known beforehand");
}

double NodeArguments::real(std::string_view name, double otherwise) {
  return std::visit([](auto value) { return static_cast<double>(value); }, number(name, otherwise));
}

bool NodeArguments::flag(std::string_view name, bool otherwise) {
  const Argument* given = read(name);
  const auto* value = given ? std::get_if<bool>(given) : nullptr;
  if (given && !value) refuse("its " + std::string(name) + " is neither true nor false");
  return value ? *value : otherwise;
}

std::string NodeArguments::text(std::string_view name, const std::string& otherwise) {
  const Argument* given = read(name);
  const auto* value = given ? std::get_if<std::string>(given) : nullptr;
  if (given && !value) refuse("its " + std::string(name) + " is no text");
  return value ? *value : otherwise;
}

Integer NodeArguments::integer_of(const SymInt& value) const {
  const auto* known = std::get_if<std::int64_t>(&value);
  return known ? Integer(*known) : lowering_.integer(node_, std::get<std::string>(value));
}

Integer NodeArguments::integer(std::string_view name, const Integer& otherwise) {
  const Argument* given = read(name);
  if (!given) return otherwise;
  if (const auto* known = std::get_if<std::int64_t>(given)) return *known;
  if (const auto* symbol = std::get_if<SymInt>(given)) return integer_of(*symbol);
  refuse("its " + std::string(name) + " is no integer");
}

Integers NodeArguments::integers(std::string_view name) {
  const Argument* given = read(name);
  if (!given) return {};
  if (const auto* list = std::get_if<Ints>(given)) return {list->begin(), list->end()};
  if (const auto* list = std::get_if<std::vector<SymInt>>(given)) {
    Integers result;
    for (const SymInt& each : *list) result.push_back(integer_of(each));
    return result;
  }
  return {integer(name, std::int64_t{0})};
}

Ints NodeArguments::ints(std::string_view name, const Ints& otherwise) {
  if (!has(name)) return otherwise;
  Ints known;
  for (const Integer& each : integers(name)) {
    const auto* number = std::get_if<std::int64_t>(&each);
    if (!number) refuse("its " + std::string(name) + " is only known at run time");
    known.push_back(*number);
  }
  return known;
}

std::int64_t NodeArguments::known(std::string_view name, std::int64_t otherwise) {
  const Integer value = integer(name, otherwise);
  const auto* number = std::get_if<std::int64_t>(&value);
  if (!number) refuse("its " + std::string(name) + " is only known at run time");
  return *number;
}

std::size_t NodeArguments::dim(std::string_view name, std::size_t rank, std::int64_t otherwise) {
  const std::int64_t given = known(name, otherwise);
  const std::int64_t from_start = given < 0 ? given + static_cast<std::int64_t>(rank) : given;
  if (from_start < 0 || std::cmp_greater_equal(from_start, rank)) {
    refuse("it has no dimension " + std::to_string(given));
  }
  return static_cast<std::size_t>(from_start);
}

Ints NodeArguments::dims(std::string_view name, std::size_t rank) {
  Ints result = ints(name);
  if (result.empty()) return all_dims(rank);
  for (std::int64_t& dim : result) {
    if (dim < 0) dim += static_cast<std::int64_t>(rank);
    if (dim < 0 || std::cmp_greater_equal(dim, std::max<std::size_t>(rank, 1))) refuse("it has no such dimension");
  }
  std::ranges::sort(result);
  if (rank == 0) result.clear();
  return result;
}

ElementType NodeArguments::output_type(std::size_t result) const {
  const std::vector<std::string> names = node_.results();
  if (result >= names.size()) refuse("it returns fewer tensors than it should");
  const auto type = static_cast<ElementType>(lowering_.graph().scalar_type(names[result]));
  size_of(type);  // throws for complex and quantized ones
  return type;
}

std::vector<Dimension> NodeArguments::output_sizes(std::size_t result) const {
  const std::vector<std::string> names = node_.results();
  if (result >= names.size()) refuse("it returns fewer tensors than it should");
  return lowering_.graph().sizes(names[result]);
}

void NodeArguments::require_all_read() const {
  for (const NamedArgument& argument : node_.inputs) {
    const bool placement = std::ranges::find(kPlacement, argument.name) != kPlacement.end();
    if (placement || read_.contains(argument.name) || std::holds_alternative<NoneArgument>(argument.value)) continue;
    refuse("its argument " + in_quotes(argument.name) + " has no translation");
  }
}

void NodeArguments::refuse(const std::string& why) const { PrimitiveLowering::refuse(node_, why); }

ElementType promoted_type(const std::vector<Operand>& operands) {
  std::optional<ElementType> of_tensors;
  std::optional<ElementType> of_scalars;
  std::optional<ElementType> of_numbers;
  for (const Operand& operand : operands) {
    const auto* term = std::get_if<Term>(&operand.value);
    const ElementType type = term ? term->type() : type_of(std::get<Number>(operand.value));
    std::optional<ElementType>& group = operand.wrapped ? of_numbers : term->rank() == 0 ? of_scalars : of_tensors;
    group = promoted(group, type);
  }
  return combined(of_tensors, combined(of_scalars, of_numbers)).value();
}

Term as_tensor(PrimitiveBuilder& builder, const Operand& operand, ElementType type) {
  if (const auto* term = std::get_if<Term>(&operand.value)) return cast(*term, type);
  return number(builder, std::get<Number>(operand.value), type);
}

}  // namespace lockstep
