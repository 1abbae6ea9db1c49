#include "engine/artifacts/tensorflow/TensorflowShapes.h"

#include <algorithm>
#include <utility>

namespace lockstep {

namespace {

// The order in which a value has those of its dimensions that are not 1, when it is read in the order `dims`.
Ints elements(const TensorflowValue& value, const Ints& dims) {
  Ints order;
  for (const std::int64_t dim : dims) {
    if (!is_one(value.sizes[value.place(static_cast<std::size_t>(dim))])) order.push_back(dim);
  }
  return order;
}

// The value's own dimensions in the order of a tensor to which it is broadcast.
Ints own_dims(const TensorflowValue& value, const Ints& axes) {
  const auto added = static_cast<std::int64_t>(axes.size() - value.rank());
  Ints dims;
  for (const std::int64_t axis : axes) {
    if (axis >= added) dims.push_back(axis - added);
  }
  return dims;
}

bool needs_transpose(const TensorflowValue& value, const Ints& axes) {
  return elements(value, value.axes) != elements(value, own_dims(value, axes));
}

}  // namespace

Ints aligned_axes(const std::vector<TensorflowValue>& values) {
  const std::size_t rank = std::ranges::max_element(values, {}, &TensorflowValue::rank)->rank();
  Ints axes;
  std::ptrdiff_t fewest = std::ssize(values) + 1;
  for (const TensorflowValue& value : values) {
    if (value.rank() != rank) continue;
    const auto transposes =
        std::ranges::count_if(values, [&](const TensorflowValue& each) { return needs_transpose(each, value.axes); });
    if (transposes < fewest || (transposes == fewest && axes == in_order(rank))) {
      axes = value.axes;
      fewest = transposes;
    }
  }
  return axes;
}

AlignedValues aligned(TensorflowBuilder& builder, std::vector<TensorflowValue> values) {
  const Ints axes = aligned_axes(values);
  for (TensorflowValue& value : values) value = aligned_to(builder, value, axes);
  return {std::move(values), axes};
}

TensorflowValue aligned_to(TensorflowBuilder& builder, const TensorflowValue& value, const Ints& axes) {
  const Ints dims = own_dims(value, axes);
  const TensorflowValue ordered = needs_transpose(value, axes) ? builder.arranged(value, dims) : value;
  const auto added = static_cast<std::int64_t>(axes.size() - value.rank());
  std::vector<Dimension> sizes;
  Ints origins;  // of each size, the place in `ordered`
  for (const std::int64_t axis : axes) {
    if (axis < added) {
      if (!sizes.empty()) sizes.emplace_back(std::int64_t{1}), origins.push_back(-1);
      continue;
    }
    const auto place = ordered.place(static_cast<std::size_t>(axis - added));
    sizes.push_back(ordered.sizes[place]);
    origins.push_back(static_cast<std::int64_t>(place));
  }
  // Ones in front say nothing.
  const auto front = std::ranges::find_if_not(sizes, is_one) - sizes.begin();
  if (dims != ordered.axes || sizes.size() != ordered.rank()) {
    sizes.erase(sizes.begin(), sizes.begin() + front);
    origins.erase(origins.begin(), origins.begin() + front);
  }
  return builder.reshaped(ordered, sizes,
                          [&](std::size_t i) { return builder.size(ordered, static_cast<std::size_t>(origins[i])); });
}

TensorflowValue sliced(TensorflowBuilder& builder, const TensorflowValue& value,
                       const std::vector<TensorflowSlice>& slices) {
  std::vector<TensorflowInteger> begins;
  std::vector<TensorflowInteger> ends;
  Ints steps;
  std::int64_t whole = 0;  // a mask: the dimensions without an end
  for (std::size_t i = 0; i < slices.size(); ++i) {
    begins.push_back(slices[i].start);
    const auto* end = std::get_if<std::int64_t>(&slices[i].end);
    const bool to_the_end = end && *end == std::numeric_limits<std::int64_t>::max();
    if (to_the_end) whole |= std::int64_t{1} << i;
    ends.push_back(to_the_end ? TensorflowInteger(std::int64_t{0}) : slices[i].end);
    steps.push_back(slices[i].step);
  }
  TensorflowValue begin = builder.packed(begins);
  TensorflowValue end = builder.packed(ends);
  TensorflowValue step = builder.constant(steps);
  const bool wide = std::ranges::count(std::vector{begin.type, end.type, step.type}, ElementType::kInt64) > 0;
  const ElementType index = wide ? ElementType::kInt64 : ElementType::kInt32;
  for (TensorflowValue* each : {&begin, &end, &step}) *each = builder.cast(*each, index);
  return builder.add("StridedSlice", {value, begin, end, step},
                     {{"Index", index},
                      {"begin_mask", std::int64_t{0}},
                      {"end_mask", whole},
                      {"ellipsis_mask", std::int64_t{0}},
                      {"new_axis_mask", std::int64_t{0}},
                      {"shrink_axis_mask", std::int64_t{0}}});
}

TensorflowValue padded(TensorflowBuilder& builder, const TensorflowValue& value, const Ints& before, const Ints& after,
                       double number) {
  if (std::ranges::count(before, 0) == std::ssize(before) && std::ranges::count(after, 0) == std::ssize(after)) {
    return value;
  }
  Ints pairs;
  for (std::size_t i = 0; i < before.size(); ++i) {
    pairs.push_back(before[i]);
    pairs.push_back(after.at(i));
  }
  const TensorflowValue paddings = builder.constant(pairs, {std::ssize(before), 2});
  TensorflowValue result =
      builder.add("PadV2", {value, paddings, builder.constant(number, value.type)}, {{"Tpaddings", paddings.type}});
  for (std::size_t i = 0; i < before.size(); ++i) {
    auto* size = std::get_if<std::int64_t>(&result.sizes.at(i));
    if (size) {
      *size += before[i] + after[i];
    } else if (before[i] + after[i] > 0) {
      result.sizes[i] = std::get<std::string>(result.sizes[i]) + " + " + std::to_string(before[i] + after[i]);
    }
  }
  return result;
}

TensorflowValue concatenated(TensorflowBuilder& builder, std::vector<TensorflowValue> values, std::size_t place) {
  if (values.size() == 1) return values[0];
  const auto count = static_cast<std::int64_t>(values.size());
  values.push_back(builder.constant(static_cast<double>(place), ElementType::kInt32));
  return builder.add("ConcatV2", values, {{"N", count}, {"Tidx", ElementType::kInt32}});
}

std::vector<TensorflowValue> split(TensorflowBuilder& builder, const TensorflowValue& value, std::size_t place,
                                   std::int64_t parts) {
  TensorflowValue first =
      builder.add_plain("Split", {builder.constant(static_cast<double>(place), ElementType::kInt32), value},
                        {{"T", value.type}, {"num_split", parts}});
  first.type = value.type;
  first.sizes = value.sizes;
  first.axes = value.axes;
  if (auto* size = std::get_if<std::int64_t>(&first.sizes.at(place))) *size /= parts;
  std::vector<TensorflowValue> result;
  for (std::int64_t i = 0; i < parts; ++i) {
    result.push_back(builder.output(first, "output", static_cast<std::size_t>(i)));
  }
  return result;
}

}  // namespace lockstep
