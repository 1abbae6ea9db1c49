#include <algorithm>
#include <utility>

#include "engine/artifacts/tensorflow/ReshapeGroups.h"
#include "engine/artifacts/tensorflow/TensorflowPrimitives.h"
#include "engine/artifacts/tensorflow/TensorflowShapes.h"

namespace lockstep {

namespace {

// The sizes that the graph states of the output in another order, and how to compute them.
TensorflowValue reshaped_to(PrimitiveCall& call, const TensorflowValue& value, const Integers& sizes,
                            const Ints& axes) {
  TensorflowValue result = call.builder().reshaped(value, permute(call.out().sizes, axes), [&](std::size_t i) {
    return call.integer(sizes.at(static_cast<std::size_t>(axes.at(i))));
  });
  result.axes = axes;
  return result;
}

TensorflowInteger known_or(const Dimension& size, TensorflowInteger otherwise) {
  const auto* known = std::get_if<std::int64_t>(&size);
  return known ? *known : std::move(otherwise);
}

}  // namespace

void write_primitive(PrimitiveCall& call, const primitive::Constant& operation) {
  call.bind(call.builder().constant({operation.type, operation.sizes, operation.bytes}));
}

void write_primitive(PrimitiveCall& call, const primitive::Size& operation) {
  const TensorflowValue x = call.input(0);
  TensorflowBuilder& builder = call.builder();
  call.bind(builder.scalar(builder.size(x, x.place(operation.dim))));
}

void write_primitive(PrimitiveCall& call, const primitive::Range&) {
  TensorflowValue result =
      call.builder().add_plain("Range", {call.input(0), call.input(1), call.input(2)}, {{"Tidx", ElementType::kInt64}});
  result.axes = {0};
  call.bind(std::move(result));
}

void write_primitive(PrimitiveCall& call, const primitive::Reshape& operation) {
  const TensorflowValue x = call.input(0);
  const ReshapePlan plan = plan_reshape(x.axes, call.in(0).sizes, call.out().sizes);
  call.bind(reshaped_to(call, call.builder().arranged(x, plan.before), operation.sizes, plan.after));
}

// A new dimension stands behind the one that it stands behind in the program.
void write_primitive(PrimitiveCall& call, const primitive::Unsqueeze& operation) {
  TensorflowBuilder& builder = call.builder();
  TensorflowValue x = call.input(0);
  for (const std::int64_t dim : operation.dims) {
    const std::size_t place = dim == 0 ? 0 : x.place(static_cast<std::size_t>(dim) - 1) + 1;
    const TensorflowValue at = builder.constant(static_cast<double>(place), ElementType::kInt32);
    x = builder.add("ExpandDims", {x, at}, {{"Tdim", ElementType::kInt32}});
    for (std::int64_t& axis : x.axes) axis += axis >= dim ? 1 : 0;
    x.axes.insert(x.axes.begin() + static_cast<std::ptrdiff_t>(place), dim);
  }
  call.bind(std::move(x));
}

void write_primitive(PrimitiveCall& call, const primitive::Squeeze& operation) {
  TensorflowValue x = call.input(0);
  const Ints axes = without(x.axes, operation.dims);
  x = call.builder().add("Squeeze", {x}, {{"squeeze_dims", places(x.axes, operation.dims)}});
  x.axes = axes;
  call.bind(std::move(x));
}

void write_primitive(PrimitiveCall& call, const primitive::Broadcast& operation) {
  TensorflowBuilder& builder = call.builder();
  TensorflowValue x = call.input(0);
  const std::vector<Dimension>& sizes = call.out().sizes;
  const std::size_t added = sizes.size() - x.rank();
  Ints axes = in_order(added);
  for (const std::int64_t axis : x.axes) axes.push_back(axis + static_cast<std::int64_t>(added));
  if (added > 0 || permute(sizes, axes) != x.sizes) {
    std::vector<TensorflowInteger> numbers;
    for (const std::int64_t axis : axes) {
      const auto i = static_cast<std::size_t>(axis);
      numbers.push_back(known_or(sizes[i], call.integer(operation.sizes.at(i))));
    }
    const TensorflowValue shape = builder.packed(numbers);
    x = builder.add("BroadcastTo", {x, shape}, {{"Tidx", shape.type}});
  }
  x.axes = axes;
  call.bind(std::move(x));
}

// Only what the dimensions are called changes.
void write_primitive(PrimitiveCall& call, const primitive::Transpose& operation) {
  TensorflowValue x = call.input(0);
  for (std::int64_t& axis : x.axes) axis = std::ranges::find(operation.axes, axis) - operation.axes.begin();
  call.bind(std::move(x));
}

void write_primitive(PrimitiveCall& call, const primitive::Slice& operation) {
  const TensorflowValue x = call.input(0);
  std::vector<TensorflowSlice> slices(x.place(operation.dim) + 1);
  slices.back() = {.start = call.integer(operation.start), .end = call.integer(operation.end), .step = operation.step};
  call.bind(sliced(call.builder(), x, slices));
}

void write_primitive(PrimitiveCall& call, const primitive::Reverse& operation) {
  const TensorflowValue x = call.input(0);
  const TensorflowValue dims = call.builder().constant(Ints{static_cast<std::int64_t>(x.place(operation.dim))});
  call.bind(call.builder().add("ReverseV2", {x, dims}, {{"Tidx", dims.type}}));
}

void write_primitive(PrimitiveCall& call, const primitive::Concatenate& operation) {
  std::vector<TensorflowValue> values;
  for (std::size_t i = 0; i < call.inputs(); ++i) values.push_back(call.input(i));
  const Ints axes = aligned_axes(values);
  for (TensorflowValue& value : values) value = call.builder().arranged(value, axes);
  const std::size_t place = values.at(0).place(operation.dim);
  call.bind(concatenated(call.builder(), std::move(values), place));
}

void write_primitive(PrimitiveCall& call, const primitive::Pad& operation) {
  const TensorflowValue x = call.input(0);
  call.bind(
      padded(call.builder(), x, permute(operation.before, x.axes), permute(operation.after, x.axes), operation.value));
}

void write_primitive(PrimitiveCall& call, const primitive::Gather& operation) {
  TensorflowBuilder& builder = call.builder();
  const TensorflowValue x = call.input(0);
  const TensorflowValue indices = builder.row_major(call.input(1));
  const auto place = static_cast<std::int64_t>(x.place(operation.dim));
  TensorflowValue result =
      builder.add_plain("GatherV2", {x, indices, builder.constant(static_cast<double>(place), ElementType::kInt32)},
                        {{"Tparams", x.type},
                         {"Tindices", indices.type},
                         {"Taxis", ElementType::kInt32},
                         {"batch_dims", std::int64_t{0}}});
  const auto dim = static_cast<std::int64_t>(operation.dim);
  const auto added = static_cast<std::int64_t>(indices.rank());
  result.axes.clear();
  for (const std::int64_t axis : x.axes) {
    if (axis != dim) {
      result.axes.push_back(axis < dim ? axis : axis + added - 1);
    } else {
      for (std::int64_t i = 0; i < added; ++i) result.axes.push_back(dim + i);
    }
  }
  call.bind(std::move(result));
}

// With the dimension last, a Gather of its own for each row.
void write_primitive(PrimitiveCall& call, const primitive::GatherElements& operation) {
  TensorflowBuilder& builder = call.builder();
  const Ints axes = with_last(call.input(0).axes, operation.dim);
  TensorflowValue x = call.input(0, axes);
  const TensorflowValue indices = call.input(1, axes);
  const std::size_t last = axes.size() - 1;
  if (last > 0 && !std::equal(x.sizes.begin(), x.sizes.end() - 1, indices.sizes.begin())) {
    std::vector<TensorflowSlice> slices;
    for (std::size_t i = 0; i < last; ++i) {
      slices.push_back({.end = builder.size(indices, i)});
    }
    x = sliced(builder, x, slices);
  }
  const auto batch = static_cast<std::int64_t>(last);
  call.bind(builder.add_plain(
      "GatherV2", {x, indices, builder.constant(static_cast<double>(last), ElementType::kInt32)},
      {{"Tparams", x.type}, {"Tindices", indices.type}, {"Taxis", ElementType::kInt32}, {"batch_dims", batch}}));
}

}  // namespace lockstep
