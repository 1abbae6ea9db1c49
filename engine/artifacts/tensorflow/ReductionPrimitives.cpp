#include <map>
#include <string>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowPrimitives.h"
#include "engine/artifacts/tensorflow/TensorflowShapes.h"
#include "engine/artifacts/tensorflow/TensorflowTypes.h"

namespace lockstep {

namespace {

using ReduceKind = primitive::Reduce::Kind;

std::string reduce_operator(ReduceKind kind) {
  static const std::map<ReduceKind, std::string> names = {
      {ReduceKind::kSum, "Sum"},      {ReduceKind::kMean, "Mean"}, {ReduceKind::kMax, "Max"}, {ReduceKind::kMin, "Min"},
      {ReduceKind::kProduct, "Prod"}, {ReduceKind::kAny, "Any"},   {ReduceKind::kAll, "All"}};
  return names.at(kind);
}

}  // namespace

void write_primitive(PrimitiveCall& call, const primitive::Reduce& operation) {
  const TensorflowValue x = call.input(0);
  const TensorflowValue dims = call.builder().constant(places(x.axes, operation.dims));
  TensorflowAttributes attributes = {{"Tidx", dims.type}, {"keep_dims", operation.keep}};
  const bool logical = operation.kind == ReduceKind::kAny || operation.kind == ReduceKind::kAll;
  const std::string op = reduce_operator(operation.kind);
  TensorflowValue y = logical ? call.builder().add_plain(op, {x, dims}, std::move(attributes))
                              : call.builder().add(op, {x, dims}, std::move(attributes));
  if (!operation.keep) y.axes = without(x.axes, operation.dims);
  call.bind(std::move(y));
}

void write_primitive(PrimitiveCall& call, const primitive::ArgReduce& operation) {
  TensorflowBuilder& builder = call.builder();
  const TensorflowValue x = call.input(0);
  const auto place = static_cast<double>(x.place(operation.dim));
  const TensorflowValue dim = builder.constant(place, ElementType::kInt32);
  const auto place_of = [&](const char* op, const TensorflowValue& of) {
    return builder.add(op, {of, dim}, {{"Tidx", ElementType::kInt32}, {"output_type", ElementType::kInt64}},
                       ElementType::kInt64);
  };
  TensorflowValue y = place_of(operation.largest ? "ArgMax" : "ArgMin", x);
  if (is_real(x.type)) {  // TensorFlow overlooks NaN; PyTorch finds the first
    const TensorflowValue nan = builder.add("IsNan", {x}, {}, ElementType::kBool);
    const TensorflowValue any =
        builder.add_plain("Any", {nan, dim}, {{"Tidx", ElementType::kInt32}, {"keep_dims", false}});
    const TensorflowValue first = place_of("ArgMax", nan);
    y.reference = builder.add_plain("SelectV2", {any, first, y}, {{"T", ElementType::kInt64}}).reference;
  }
  if (operation.keep) {
    y = builder.add("ExpandDims", {y, dim}, {{"Tdim", ElementType::kInt32}});
  } else {
    y.axes = without(x.axes, {static_cast<std::int64_t>(operation.dim)});
  }
  call.bind(std::move(y));
}

void write_primitive(PrimitiveCall& call, const primitive::CumulativeSum& operation) {
  const TensorflowValue x = call.input(0);
  const auto place = static_cast<double>(x.place(operation.dim));
  call.bind(call.builder().add("Cumsum", {x, call.builder().constant(place, ElementType::kInt32)},
                               {{"Tidx", ElementType::kInt32}, {"exclusive", false}, {"reverse", false}}));
}

namespace {

// From the smallest to the largest becomes from the largest to the smallest. The least integer has no negative one.
TensorflowValue opposite(TensorflowBuilder& builder, const TensorflowValue& x) {
  if (is_real(x.type)) return builder.add("Neg", {x});
  const IntegerLimits limits = limits_of(x.type);
  const double sum = limits.least < 0 ? -1 : static_cast<double>(limits.most);
  TensorflowValue result = x;
  result.reference = builder.add("Sub", {builder.constant(sum, x.type), x}).reference;
  return result;
}

}  // namespace

void write_primitive(PrimitiveCall& call, const primitive::TopK& operation) {
  TensorflowBuilder& builder = call.builder();
  TensorflowValue x = call.input(0, with_last(call.input(0).axes, operation.dim));
  const TensorflowInteger k = call.integer(operation.k);
  const auto* known = std::get_if<std::int64_t>(&k);
  const TensorflowValue count = known ? builder.constant(static_cast<double>(*known), ElementType::kInt32)
                                      : builder.cast(builder.scalar(k), ElementType::kInt32);
  const ElementType type = x.type;
  x = builder.cast(x, tensorflow_kernel_type("TopKV2", type));
  if (!operation.largest) x = opposite(builder, x);
  const TensorflowValue values = builder.add("TopKV2", {x, count}, {{"sorted", true}});
  TensorflowValue indices = builder.output(values, "indices");
  indices.type = ElementType::kInt32;
  call.bind(builder.cast(operation.largest ? values : opposite(builder, values), type), 0);
  call.bind(builder.cast(indices, ElementType::kInt64), 1);
}

void write_primitive(PrimitiveCall& call, const primitive::Softmax& operation) {
  const TensorflowValue x = call.input(0, with_last(call.input(0).axes, operation.dim));
  call.bind(call.builder().add(operation.logarithm ? "LogSoftmax" : "Softmax", {x}));
}

void write_primitive(PrimitiveCall& call, const primitive::BatchNorm& operation) {
  TensorflowBuilder& builder = call.builder();
  const std::size_t rank = call.in(0).sizes.size();
  const bool images = rank == 4 || rank == 5;
  const TensorflowValue x = images ? call.input(0, channels_last(rank)) : call.input(0);
  const TensorflowValue scale = call.input(1);
  const TensorflowValue offset = call.input(2);
  const TensorflowValue mean = call.input(3);
  const TensorflowValue variance = call.input(4);
  // Where it is not fused with a convolution, oneDNN's kernel takes longer than what it is made of
  // (docs/measurements.md).
  if (rank == 4 && x.type == ElementType::kFloat && x.groups == 1) {
    call.bind(builder.add("FusedBatchNormV3", {x, scale, offset, mean, variance},
                          {{"U", x.type},
                           {"epsilon", static_cast<float>(operation.epsilon)},
                           {"exponential_avg_factor", 1.0F},
                           {"data_format", std::string("NHWC")},
                           {"is_training", false}}));
    return;
  }
  // x · s + (offset - mean · s) with s = scale ÷ √(variance + ε)
  const TensorflowValue epsilon = builder.constant(operation.epsilon, variance.type);
  TensorflowValue factor =
      builder.add("Mul", {builder.add("Rsqrt", {builder.add("AddV2", {variance, epsilon})}), scale});
  TensorflowValue shift = builder.add("Sub", {offset, builder.add("Mul", {mean, factor})});
  std::vector<Dimension> sizes(rank - x.place(1), std::int64_t{1});
  sizes[0] = factor.sizes.at(0);
  factor = builder.reshaped(factor, sizes);
  shift = builder.reshaped(shift, sizes);
  call.bind(builder.add("AddV2", {builder.add("Mul", {x, factor}), shift}));
}

}  // namespace lockstep
