#include <algorithm>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowPrimitives.h"

namespace lockstep {

namespace {

// A matrix, or several, with the last two dimensions in either order.
struct Matrices {
  TensorflowValue value;
  bool transposed = false;
};

Matrices matrices(PrimitiveCall& call, std::size_t input) {
  TensorflowValue x = call.input(input);
  Ints exchanged = in_order(x.rank());
  std::swap(exchanged.at(x.rank() - 1), exchanged.at(x.rank() - 2));
  if (x.axes == exchanged) return {x, true};
  return {call.builder().row_major(x), false};
}

TensorflowValue product(TensorflowBuilder& builder, const Matrices& a, const Matrices& b) {
  if (a.value.rank() == 2 && b.value.rank() == 2) {
    return builder.add("MatMul", {a.value, b.value}, {{"transpose_a", a.transposed}, {"transpose_b", b.transposed}});
  }
  return builder.add("BatchMatMulV2", {a.value, b.value}, {{"adj_x", a.transposed}, {"adj_y", b.transposed}});
}

// Of all dimensions but the last.
Dimension row_count(const TensorflowValue& value) {
  std::int64_t count = 1;
  for (std::size_t i = 0; i + 1 < value.rank(); ++i) {
    const auto* size = std::get_if<std::int64_t>(&value.sizes[i]);
    if (!size || __builtin_mul_overflow(count, *size, &count)) return std::string("rows");
  }
  return count;
}

}  // namespace

void write_primitive(PrimitiveCall& call, const primitive::MatrixMultiply& operation) {
  const Matrices a = matrices(call, 0);
  Matrices b = matrices(call, 1);
  if (operation.transpose_second) b.transposed = !b.transposed;
  TensorflowValue y = product(call.builder(), a, b);
  y.axes = in_order(call.out().sizes.size());
  call.bind(std::move(y));
}

// Rows may stand in any order, as long as what is multiplied is last. More dimensions than two are made two for the
// while: TensorFlow multiplies one matrix faster than several.
void write_primitive(PrimitiveCall& call, const primitive::Linear&) {
  TensorflowBuilder& builder = call.builder();
  TensorflowValue x = call.input(0);
  if (x.axes.at(x.rank() - 1) != static_cast<std::int64_t>(x.rank()) - 1) x = builder.row_major(x);
  Matrices weight = matrices(call, 1);
  weight.transposed = !weight.transposed;
  const bool rows = x.rank() > 2 && x.sizes.back() != Dimension(std::int64_t{0});
  TensorflowValue y = product(builder, {rows ? builder.reshaped(x, {row_count(x), x.sizes.back()}) : x}, weight);
  if (call.inputs() > 2) y = builder.add("BiasAdd", {y, call.input(2)}, {{"data_format", std::string("NHWC")}});
  if (rows) {
    y.sizes.back() = call.out().sizes.back();
    std::vector<Dimension> sizes = x.sizes;
    sizes.back() = call.out().sizes.back();
    y = builder.reshaped(y, sizes, [&](std::size_t i) { return builder.size(x, i); });
  }
  y.axes = x.axes;
  call.bind(std::move(y));
}

}  // namespace lockstep
