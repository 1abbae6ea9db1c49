#include <algorithm>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowPrimitives.h"
#include "engine/artifacts/tensorflow/TensorflowShapes.h"
#include "engine/artifacts/tensorflow/TensorflowTypes.h"

namespace lockstep {

namespace {

// What a recurrent layer returns, from its first time to its last.
struct States {
  TensorflowValue all;
  TensorflowValue last;
  TensorflowValue last_cell;
};

TensorflowValue reversed(TensorflowBuilder& builder, const TensorflowValue& x) {
  return builder.add("ReverseV2", {x, builder.constant(Ints{0})}, {{"Tidx", ElementType::kInt32}});
}

// The entry at a time, without that dimension.
TensorflowValue at_time(TensorflowBuilder& builder, const TensorflowValue& x, std::int64_t time) {
  TensorflowSlice slice{.start = time};
  if (time != -1) slice.end = time + 1;
  TensorflowValue entry = builder.add("Squeeze", {sliced(builder, x, {slice})}, {{"squeeze_dims", Ints{0}}});
  entry.sizes.erase(entry.sizes.begin());
  entry.axes = in_order(entry.sizes.size());
  return entry;
}

// TensorFlow's operator for all times of an LSTM: its gates have PyTorch's order.
States block_lstm(PrimitiveCall& call, const TensorflowValue& x) {
  TensorflowBuilder& builder = call.builder();
  TensorflowValue input_weight = call.input(1, {1, 0});
  TensorflowValue state_weight = call.input(2, {1, 0});
  const TensorflowValue weight = concatenated(builder, {input_weight, state_weight}, 0);
  const TensorflowValue bias = builder.add("AddV2", {call.input(3), call.input(4)});
  const auto width = std::get<std::int64_t>(call.in(2).sizes.at(1));
  const TensorflowValue none =
      builder.constant(std::vector<double>(static_cast<std::size_t>(width)), x.type, Ints{width});  // no peepholes
  const TensorflowValue gates =
      builder.add_plain("BlockLSTMV2",
                        {builder.scalar(builder.size(x, 0)), x, builder.row_major(call.input(6)),
                         builder.row_major(call.input(5)), weight, none, none, none, bias},
                        {{"T", x.type}, {"cell_clip", 0.0F}, {"use_peephole", false}});
  TensorflowValue cells = x;
  cells.reference = builder.output(gates, "cs").reference;
  TensorflowValue states = x;
  states.reference = builder.output(gates, "h").reference;
  return {states, at_time(builder, states, -1), at_time(builder, cells, -1)};
}

}  // namespace

bool has_recurrent_operator(const primitive::Recurrent& operation, ElementType type) {
  return operation.kind == primitive::Recurrent::Kind::kLstm && has_tensorflow_kernel("BlockLSTMV2", type);
}

void write_primitive(PrimitiveCall& call, const primitive::Recurrent& operation) {
  TensorflowBuilder& builder = call.builder();
  if (!has_recurrent_operator(operation, call.in(0).type)) {
    call.refuse("TensorFlow has no operator for it, and how many times it has is only known at run time");
  }
  TensorflowValue x = call.input(0, in_order(3));
  if (operation.reverse) x = reversed(builder, x);
  States states = block_lstm(call, x);
  if (operation.reverse) states.all = reversed(builder, states.all);
  call.bind(states.all, 0);
  call.bind(states.last, 1);
  call.bind(states.last_cell, 2);
}

}  // namespace lockstep
