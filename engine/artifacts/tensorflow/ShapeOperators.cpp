#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowOperators.h"

namespace lockstep {

namespace {

using Call = TensorflowCall;
using Sizes = std::vector<std::int64_t>;

at::Tensor concat(const Call& call) {
  Tensors values = call.inputs();
  call.require(values.size() > 2 && call.number("N") == std::ssize(values) - 1);
  values.pop_back();
  for (const at::Tensor& value : values) {
    call.require(value.scalar_type() == values[0].scalar_type() && value.dim() == values[0].dim());
  }
  return at::cat(values, call.integer(values.size()));
}

// The elements of the last dimension that belong to each row's indices, or whole slices.
at::Tensor gather(const Call& call) {
  const at::Tensor& x = call.in(0);
  const at::Tensor indices = call.in(1).to(at::kLong);
  const std::int64_t axis = call.integer(2);
  const std::int64_t batch = call.number("batch_dims");
  if (batch == 0) {
    Sizes sizes = x.sizes().vec();
    const Sizes inserted = indices.sizes().vec();
    sizes.erase(sizes.begin() + axis);
    sizes.insert(sizes.begin() + axis, inserted.begin(), inserted.end());
    return x.index_select(axis, indices.flatten()).reshape(sizes);
  }
  call.require(axis == batch && axis == x.dim() - 1 && indices.dim() == x.dim());
  for (std::int64_t i = 0; i < batch; ++i) call.require(x.size(i) == indices.size(i));
  return at::gather(x, axis, indices);
}

// Paddings [[before, after], ...] of every dimension, as at::constant_pad_nd wants them: last dimension first.
at::Tensor pad(const Call& call) {
  const at::Tensor paddings = call.in(1).to(at::kLong).contiguous();
  call.require(paddings.dim() == 2 && paddings.size(0) == call.in(0).dim() && paddings.size(1) == 2);
  call.require(call.in(2).scalar_type() == call.in(0).scalar_type() && call.in(2).dim() == 0);
  const auto* pairs = paddings.const_data_ptr<std::int64_t>();
  Sizes from_the_end;
  for (std::int64_t i = call.in(0).dim(); i-- > 0;) {
    from_the_end.push_back(pairs[2 * i]);
    from_the_end.push_back(pairs[2 * i + 1]);
  }
  return at::constant_pad_nd(call.in(0), from_the_end, call.in(2).item());
}

at::Tensor reshape(const Call& call) {
  const Sizes sizes = call.integers(1);
  const bool guessed = std::ranges::count(sizes, -1) > 0;
  call.require(!guessed || std::ranges::count(sizes, 0) == 0);
  return call.in(0).reshape(sizes);
}

at::Tensor strided_slice(const Call& call) {
  for (const char* mask : {"begin_mask", "ellipsis_mask", "new_axis_mask"}) call.require(call.number(mask) == 0);
  const Sizes begins = call.integers(1);
  const Sizes ends = call.integers(2);
  const Sizes steps = call.integers(3);
  for (std::size_t i = 1; i < 4; ++i) call.require(call.in(i).scalar_type() == call.type("Index"));
  call.require(begins.size() == ends.size() && begins.size() == steps.size() && std::ssize(begins) <= call.in(0).dim());
  at::Tensor x = call.in(0);
  std::int64_t dim = 0;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const bool whole = (call.number("end_mask") >> i & 1) != 0;
    if ((call.number("shrink_axis_mask") >> i & 1) != 0) {
      x = x.select(dim, begins[i]);
      continue;
    }
    call.require(steps[i] > 0);
    x = x.slice(dim, begins[i], whole ? x.size(dim) : ends[i], steps[i]);
    ++dim;
  }
  return x;
}

Tensors split_evenly(const Call& call) {
  const at::Tensor& x = call.in(1);
  const std::int64_t axis = call.integer(0);
  const std::int64_t parts = call.number("num_split");
  call.require(x.size(axis) % parts == 0);
  return at::chunk(x, parts, axis);
}

at::Tensor numbers_in_range(const Call& call) {
  for (const at::Tensor& input : call.inputs()) call.require(input.dim() == 0);
  return at::arange(call.in(0).item(), call.in(1).item(), call.in(2).item(), call.type("Tidx"));
}

at::Tensor broadcast_to(const Call& call) {
  const Sizes sizes = call.integers(1);
  call.require(std::ranges::count_if(sizes, [](std::int64_t size) { return size < 0; }) == 0);
  return call.in(0).broadcast_to(sizes);
}

at::Tensor squeeze(const Call& call) {
  const Sizes& dims = call.get<Sizes>("squeeze_dims");
  call.require(!dims.empty() && std::ranges::all_of(dims, [&](std::int64_t dim) { return call.in(0).size(dim) == 1; }));
  return call.in(0).squeeze(dims);
}

}  // namespace

TensorflowOperatorRows shape_tensorflow_operators() {
  return {
      {"BroadcastTo", tensorflow_row("output", broadcast_to)},
      {"ConcatV2", tensorflow_row("output", concat)},
      {"Const", tensorflow_row("output",
                               [](const Call& call) {
                                 const auto& value = call.get<TensorflowConstant>("value");
                                 return tensor_of(value.type, value.sizes, value.bytes);
                               })},
      {"ExpandDims", tensorflow_row("output", [](const Call& call) { return call.in(0).unsqueeze(call.integer(1)); })},
      {"GatherV2", tensorflow_row("output", gather)},
      {"Pack", tensorflow_row("output",
                              [](const Call& call) {
                                call.require(call.number("N") == std::ssize(call.inputs()));
                                return at::stack(call.inputs(), call.number("axis"));
                              })},
      {"PadV2", tensorflow_row("output", pad)},
      {"Range", tensorflow_row("output", numbers_in_range)},
      {"ReadVariableOp", tensorflow_row("value", [](const Call& call) { return call.in(0); })},
      {"Reshape", tensorflow_row("output", reshape)},
      {"ReverseV2", tensorflow_row("output", [](const Call& call) { return call.in(0).flip(call.integers(1)); })},
      {"Shape", tensorflow_row("output",
                               [](const Call& call) {
                                 return at::tensor(call.in(0).sizes().vec(), at::kLong).to(call.type("out_type"));
                               })},
      {"Split", TensorflowOperator{{"output"}, split_evenly}},
      {"Squeeze", tensorflow_row("output", squeeze)},
      {"StridedSlice", tensorflow_row("output", strided_slice)},
      {"Transpose", tensorflow_row("y", [](const Call& call) { return call.in(0).permute(call.integers(1)); })},
  };
}

}  // namespace lockstep
