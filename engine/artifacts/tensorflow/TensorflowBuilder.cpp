#include "engine/artifacts/tensorflow/TensorflowBuilder.h"

#include <algorithm>

#include "common/Error.h"
#include "engine/artifacts/tensorflow/TensorflowTypes.h"

namespace lockstep {

namespace {

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <typename T>
std::string bytes_as(const std::vector<double>& numbers) {
  std::vector<T> values;
  for (const double number : numbers) values.push_back(static_cast<T>(number));
  return bytes_of(values);
}

// The order of the dimensions that are not 1.
Ints order_of_elements(const TensorflowValue& value, const Ints& axes) {
  Ints order;
  for (const std::int64_t axis : axes) {
    if (!is_one(value.sizes[value.place(static_cast<std::size_t>(axis))])) order.push_back(axis);
  }
  return order;
}

}  // namespace

TensorflowValue TensorflowBuilder::add(const std::string& op, const std::vector<TensorflowValue>& inputs,
                                       TensorflowAttributes attributes, std::optional<ElementType> result) {
  return add_of(inputs.at(0).type, op, inputs, std::move(attributes), result);
}

TensorflowValue TensorflowBuilder::add_of(ElementType type, const std::string& op, std::vector<TensorflowValue> inputs,
                                          TensorflowAttributes attributes, std::optional<ElementType> result) {
  const ElementType computed = tensorflow_kernel_type(op, type);
  for (TensorflowValue& input : inputs) {
    if (input.type == type) input = cast(input, computed);
  }
  attributes["T"] = computed;
  TensorflowValue output = add_plain(op, inputs, std::move(attributes));
  output.type = result.value_or(computed);
  return cast(output, result.value_or(type));
}

TensorflowValue TensorflowBuilder::add_plain(const std::string& op, const std::vector<TensorflowValue>& inputs,
                                             TensorflowAttributes attributes) {
  TensorflowValue result = inputs.empty() ? TensorflowValue{} : inputs[0];
  result.groups = 0;
  TensorflowNode node{unique(op), op, {}, std::move(attributes)};
  for (const TensorflowValue& input : inputs) node.inputs.push_back(input.reference);
  result.reference = node.name + ":" + output_name(op) + ":0";
  function_.nodes.push_back(std::move(node));
  return result;
}

TensorflowValue TensorflowBuilder::output(const TensorflowValue& first, const std::string& name,
                                          std::size_t index) const {
  TensorflowValue other = first;
  other.reference = first.reference.substr(0, first.reference.find(':')) + ":" + name + ":" + std::to_string(index);
  return other;
}

TensorflowValue TensorflowBuilder::constant(TensorflowConstant value) {
  std::string& reference = constants_[{value.type, value.sizes, value.bytes}];
  TensorflowValue result;
  result.type = value.type;
  result.sizes.assign(value.sizes.begin(), value.sizes.end());
  result.axes = in_order(value.sizes.size());
  if (reference.empty()) {
    reference = add_plain("Const", {}, {{"dtype", value.type}, {"value", std::move(value)}}).reference;
  }
  result.reference = reference;
  return result;
}

TensorflowValue TensorflowBuilder::constant(const Ints& values) { return constant(values, {std::ssize(values)}); }

TensorflowValue TensorflowBuilder::constant(const Ints& values, const Ints& sizes) {
  if (std::ranges::all_of(values, [](std::int64_t value) { return value == static_cast<std::int32_t>(value); })) {
    return constant({ElementType::kInt32, sizes, bytes_of(std::vector<std::int32_t>(values.begin(), values.end()))});
  }
  return constant({ElementType::kInt64, sizes, bytes_of(values)});
}

TensorflowValue TensorflowBuilder::constant(double number, ElementType type) { return constant({number}, type, {}); }

TensorflowValue TensorflowBuilder::constant(const std::vector<double>& numbers, ElementType type, const Ints& sizes) {
  switch (type) {
    case ElementType::kFloat:
      return constant({type, sizes, bytes_as<float>(numbers)});
    case ElementType::kDouble:
      return constant({type, sizes, bytes_as<double>(numbers)});
    case ElementType::kInt64:
      return constant({type, sizes, bytes_as<std::int64_t>(numbers)});
    case ElementType::kInt32:
      return constant({type, sizes, bytes_as<std::int32_t>(numbers)});
    default:
      return cast(constant(numbers, ElementType::kDouble, sizes), type);
  }
}

TensorflowValue TensorflowBuilder::cast(const TensorflowValue& value, ElementType type) {
  if (value.type == type) return value;
  TensorflowValue result = add_plain("Cast", {value}, {{"SrcT", value.type}, {"DstT", type}, {"Truncate", false}});
  result.type = type;
  return result;
}

TensorflowValue TensorflowBuilder::reshaped(const TensorflowValue& value, const std::vector<Dimension>& sizes,
                                            const std::function<TensorflowInteger(std::size_t)>& computed) {
  TensorflowValue result = value;
  if (sizes != value.sizes) {
    Ints known = known_sizes(sizes);
    const bool empty = std::ranges::count(known, 0) > 0;  // then TensorFlow does not find the size that is left
    const std::ptrdiff_t unknown = std::ranges::count(known, -1);
    std::vector<TensorflowInteger> numbers(known.begin(), known.end());
    if (unknown > 1 || (unknown == 1 && empty)) {
      if (!computed) throw InternalError("a size is only known at run time");
      for (std::size_t i = 0; i < known.size(); ++i) {
        if (known[i] == -1) numbers[i] = computed(i);
      }
    }
    const TensorflowValue shape = packed(numbers);
    std::string& reference = reshaped_[{value.reference, shape.reference}];
    if (reference.empty()) reference = add("Reshape", {value, shape}, {{"Tshape", shape.type}}).reference;
    result.reference = reference;
  }
  result.sizes = sizes;
  result.axes = in_order(sizes.size());
  return result;
}

TensorflowValue TensorflowBuilder::arranged(const TensorflowValue& value, const Ints& axes) {
  if (value.axes == axes) return value;
  Ints permutation;
  for (const std::int64_t axis : axes) {
    permutation.push_back(static_cast<std::int64_t>(value.place(static_cast<std::size_t>(axis))));
  }
  TensorflowValue result = value;
  result.sizes = permute(value.sizes, permutation);
  result.axes = axes;
  std::string& reference = arranged_[{value.reference, permutation}];
  if (reference.empty()) {
    if (order_of_elements(value, value.axes) == order_of_elements(value, axes)) {
      reference = reshaped(value, result.sizes, [&](std::size_t i) {
                    return size(value, static_cast<std::size_t>(permutation[i]));
                  }).reference;
    } else {
      reference = add("Transpose", {value, constant(permutation)}, {{"Tperm", ElementType::kInt32}}).reference;
    }
  }
  result.reference = reference;
  return result;
}

TensorflowInteger TensorflowBuilder::size(const TensorflowValue& value, std::size_t place) {
  if (const auto* known = std::get_if<std::int64_t>(&value.sizes.at(place))) return *known;
  const auto [shape, is_new] = shapes_.try_emplace(value.reference);
  if (is_new) {
    shape->second = add("Shape", {value}, {{"out_type", ElementType::kInt64}}, ElementType::kInt64);
    shape->second.sizes = {static_cast<std::int64_t>(value.rank())};
    shape->second.axes = {0};
  }
  const auto at = static_cast<std::int64_t>(place);
  TensorflowValue result = add("StridedSlice", {shape->second, constant({at}), constant({at + 1}), constant({1})},
                               {{"Index", ElementType::kInt32},
                                {"begin_mask", std::int64_t{0}},
                                {"end_mask", std::int64_t{0}},
                                {"ellipsis_mask", std::int64_t{0}},
                                {"new_axis_mask", std::int64_t{0}},
                                {"shrink_axis_mask", std::int64_t{1}}});
  result.sizes = {};
  result.axes = {};
  return result;
}

TensorflowValue TensorflowBuilder::scalar(const TensorflowInteger& number) {
  const auto* value = std::get_if<std::int64_t>(&number);
  return value ? constant({ElementType::kInt64, {}, bytes_of(Ints{*value})}) : std::get<TensorflowValue>(number);
}

TensorflowValue TensorflowBuilder::packed(const std::vector<TensorflowInteger>& numbers) {
  Ints known;
  for (const TensorflowInteger& number : numbers) {
    if (const auto* value = std::get_if<std::int64_t>(&number)) known.push_back(*value);
  }
  if (known.size() == numbers.size()) return constant(known);
  std::vector<TensorflowValue> scalars;
  for (const TensorflowInteger& number : numbers) scalars.push_back(scalar(number));
  const auto count = static_cast<std::int64_t>(scalars.size());
  TensorflowValue result = add("Pack", scalars, {{"N", count}, {"axis", std::int64_t{0}}});
  result.sizes = {count};
  result.axes = {0};
  return result;
}

std::string TensorflowBuilder::unique(const std::string& name) {
  std::string candidate = name;
  for (int i = 1; !names_.insert(candidate).second; ++i) candidate = name + "_" + std::to_string(i);
  return candidate;
}

}  // namespace lockstep
