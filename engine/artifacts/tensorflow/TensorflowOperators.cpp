#include "engine/artifacts/tensorflow/TensorflowOperators.h"

#include <algorithm>
#include <limits>
#include <map>

#include "engine/artifacts/tensorflow/TensorflowLowering.h"

namespace lockstep {

namespace {

using Lowering = TensorflowLowering;
using Value = TensorflowLowering::Value;
using Ints = TensorflowLowering::Ints;

const Ints kOnes = {1, 1};
const Ints kZeros = {0, 0};

Ints around_images(const Ints& pair) { return {1, pair[0], pair[1], 1}; }

// An image for TensorFlow: NHWC. The program's sizes are NCHW.
Value image(Lowering& lowering, const Node& node, std::string_view argument) {
  const Value value = lowering.tensor(node, argument);
  if (value.sizes.size() != 4) lowering.refuse(node, "images without a batch dimension are not supported");
  return lowering.channels_last(value);
}

// Channels are y's last dimension, in an image as TensorFlow has it and in rows.
void bind_with_bias(Lowering& lowering, const Node& node, Value y) {
  const auto bias = lowering.find(node, "bias");
  y.sizes = lowering.output_sizes(node);
  if (!bias) {
    lowering.bind(node, y);
  } else if (bias->sizes.size() != 1 || bias->sizes[0] != y.sizes.at(y.channels_last ? 1 : y.sizes.size() - 1)) {
    lowering.bind(node, lowering.sum(node, y, *bias));
  } else if (y.grouped) {
    lowering.bind(node, lowering.add("AddV2", {y, *bias}));
  } else {
    lowering.bind(node, lowering.add("BiasAdd", {y, *bias}, {{"data_format", std::string("NHWC")}}));
  }
}

void bind_pool(Lowering& lowering, const Node& node, const std::string& op, const Value& x, const Ints& window,
               const Ints& stride) {
  lowering.bind(node, lowering.add(op, {x},
                                   {{"ksize", around_images(window)},
                                    {"strides", around_images(stride)},
                                    {"padding", std::string("VALID")},
                                    {"data_format", std::string("NHWC")}}));
}

void same(Lowering& lowering, const Node& node) { lowering.bind(node, lowering.tensor(node, node.inputs.at(0).name)); }

void dropout(Lowering& lowering, const Node& node) {
  if (lowering.flag(node, "train", true)) lowering.refuse(node, "it drops at random");
  same(lowering, node);
}

void conv2d(Lowering& lowering, const Node& node) {
  const Value x = image(lowering, node, "input");
  const Value weight = lowering.permuted(node, "weight", {2, 3, 1, 0});
  const Ints padding = lowering.pair(node, "padding", kZeros);
  // EXPLICIT, never SAME: with stride 2 TensorFlow's SAME pads at the end only.
  Value y = lowering.add("Conv2D", {x, weight},
                         {{"strides", around_images(lowering.pair(node, "stride", kOnes))},
                          {"dilations", around_images(lowering.pair(node, "dilation", kOnes))},
                          {"padding", std::string("EXPLICIT")},
                          {"explicit_paddings", Ints{0, 0, padding[0], padding[0], padding[1], padding[1], 0, 0}},
                          {"data_format", std::string("NHWC")},
                          {"use_cudnn_on_gpu", true}});
  y.grouped = lowering.number(node, "groups", 1) != 1;
  bind_with_bias(lowering, node, y);
}

void batch_norm(Lowering& lowering, const Node& node) {
  if (lowering.flag(node, "training", true)) lowering.refuse(node, "it uses the statistics of its batch");
  Value x = lowering.tensor(node, "input");
  const Value mean = lowering.tensor(node, "running_mean");
  const Value variance = lowering.tensor(node, "running_var");
  const auto scale = lowering.find(node, "weight");
  const auto offset = lowering.find(node, "bias");
  const double epsilon = lowering.number(node, "eps", 1e-5);
  const bool images = x.sizes.size() == 4;
  if (images) x = lowering.channels_last(x);
  if (images && scale && offset && x.type == ElementType::kFloat && !x.grouped) {
    lowering.bind(node, lowering.add("FusedBatchNormV3", {x, *scale, *offset, mean, variance},
                                     {{"U", x.type},
                                      {"epsilon", static_cast<float>(epsilon)},
                                      {"exponential_avg_factor", 1.0F},
                                      {"data_format", std::string("NHWC")},
                                      {"is_training", false}}));
    return;
  }
  // x · s + (offset - mean · s) with s = scale ÷ √(variance + ε); channels are x's last dimension, or its second.
  Value factor = lowering.add("Rsqrt", {lowering.add("AddV2", {variance, lowering.constant(epsilon, variance.type)})});
  if (scale) factor = lowering.add("Mul", {factor, *scale});
  const Value moved = lowering.add("Mul", {mean, factor});
  Value shift =
      offset ? lowering.add("Sub", {*offset, moved}) : lowering.add("Mul", {moved, lowering.constant(-1, moved.type)});
  if (!images && x.sizes.size() > 2) {
    std::vector<Dimension> sizes(x.sizes.size() - 1, std::int64_t{1});
    sizes[0] = factor.sizes.at(0);
    factor = lowering.reshape(node, factor, sizes);
    shift = lowering.reshape(node, shift, sizes);
  }
  lowering.bind(node, lowering.add("AddV2", {lowering.add("Mul", {x, factor}), shift}));
}

void relu(Lowering& lowering, const Node& node) {
  lowering.bind(node, lowering.add("Relu", {lowering.tensor(node, "self")}));
}

void max_pool2d(Lowering& lowering, const Node& node) {
  Value x = image(lowering, node, "self");
  const Ints kernel = lowering.pair(node, "kernel_size", kOnes);
  const Ints stride = lowering.pair(node, "stride", kernel);
  const Ints padding = lowering.pair(node, "padding", kZeros);
  if (lowering.pair(node, "dilation", kOnes) != kOnes) lowering.refuse(node, "it is dilated");
  // Explicit padding would need oneDNN; padding with -∞ and VALID are the same everywhere.
  Ints before_after = {0, 0, padding[0], padding[0], padding[1], padding[1], 0, 0};
  if (lowering.flag(node, "ceil_mode", false)) {
    const std::vector<Dimension> out = lowering.output_sizes(node);
    for (std::size_t i = 0; i < 2; ++i) {
      const auto* in_size = std::get_if<std::int64_t>(&x.sizes[2 + i]);
      const auto* out_size = std::get_if<std::int64_t>(&out.at(2 + i));
      if (!in_size || !out_size) lowering.refuse(node, "ceil_mode needs images of known size");
      const __int128 missing = (static_cast<__int128>(*out_size) - 1) * stride[i] + kernel[i] - *in_size - padding[i];
      if (missing > std::numeric_limits<std::int32_t>::max()) lowering.refuse(node, "its window is of impossible size");
      before_after[2 * i + 3] = std::max<std::int64_t>(0, static_cast<std::int64_t>(missing));
    }
  }
  if (std::ranges::count(before_after, 0) != 8) {
    x = lowering.add("PadV2",
                     {x, lowering.constant(before_after, {4, 2}),
                      lowering.constant(-std::numeric_limits<double>::infinity(), x.type)},
                     {{"Tpaddings", ElementType::kInt32}});
  }
  bind_pool(lowering, node, "MaxPool", x, kernel, stride);
}

// Means over whole images; the result has one pixel.
void adaptive_avg_pool2d(Lowering& lowering, const Node& node) {
  const Value x = image(lowering, node, "self");
  const Ints size = lowering.pair(node, "output_size", kOnes);
  if (size == kOnes) {
    lowering.bind(node, lowering.add("Mean", {x, lowering.constant({1, 2}, {2})},
                                     {{"Tidx", ElementType::kInt32}, {"keep_dims", true}}));
    return;
  }
  Ints window;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto* known = std::get_if<std::int64_t>(&x.sizes[2 + i]);
    if (!known || size[i] < 1 || *known % size[i] != 0) {
      lowering.refuse(node, "only images whose size is known and a multiple of output_size can be pooled");
    }
    window.push_back(*known / size[i]);
  }
  bind_pool(lowering, node, "AvgPool", x, window, window);
}

void mean(Lowering& lowering, const Node& node) {
  Value x = lowering.tensor(node, "self");
  if (const Argument* type = node.find("dtype"); type && !std::holds_alternative<NoneArgument>(*type)) {
    lowering.refuse(node, "it changes the type");
  }
  const auto rank = static_cast<std::int64_t>(x.sizes.size());
  Ints dims = lowering.ints(node, "dim");
  if (dims.empty()) {
    for (std::int64_t i = 0; i < rank; ++i) dims.push_back(i);
  }
  for (std::int64_t& dim : dims) dim = dim < 0 ? dim + rank : dim;
  std::ranges::sort(dims);
  const bool keep = lowering.flag(node, "keepdim", false);
  const bool whole_images = x.channels_last && dims == Ints{2, 3};
  if (whole_images) {
    dims = {1, 2};
  } else {
    x = lowering.row_major(x);
  }
  Value y = lowering.add("Mean", {x, lowering.constant(dims, {static_cast<std::int64_t>(dims.size())})},
                         {{"Tidx", ElementType::kInt32}, {"keep_dims", keep}});
  y.channels_last = whole_images && keep;
  lowering.bind(node, y);
}

void add(Lowering& lowering, const Node& node) {
  const Value self = lowering.tensor(node, "self");
  if (lowering.number(node, "alpha", 1) != 1) lowering.refuse(node, "its alpha is not 1");
  const Value other = node.tensor("other").empty() ? lowering.constant(lowering.number(node, "other", 0), self.type)
                                                   : lowering.tensor(node, "other");
  lowering.bind(node, lowering.sum(node, self, other));
}

void linear(Lowering& lowering, const Node& node) {
  const Value x = lowering.row_major(lowering.tensor(node, "input"));
  if (x.sizes.size() < 2) lowering.refuse(node, "inputs without a batch dimension are not supported");
  const Value weight = lowering.tensor(node, "weight");
  if (weight.sizes.size() != 2) lowering.refuse(node, "its weight has no two dimensions");
  const Value y = x.sizes.size() == 2
                      ? lowering.add("MatMul", {x, weight}, {{"transpose_a", false}, {"transpose_b", true}})
                      : lowering.add("BatchMatMulV2", {x, weight}, {{"adj_x", false}, {"adj_y", true}});
  bind_with_bias(lowering, node, y);
}

void reshape(Lowering& lowering, const Node& node) {
  lowering.bind(node, lowering.reshape(node, lowering.tensor(node, "self"), lowering.output_sizes(node)));
}

// Sizes are taken from what the program says of its tensors.
void nothing(Lowering&, const Node&) {}

}  // namespace

LowerOperator find_tensorflow_lowering(const std::string& target) {
  static const std::map<std::string, LowerOperator> rows = {
      {"torch.ops.aten.adaptive_avg_pool2d.default", adaptive_avg_pool2d},
      {"torch.ops.aten.add.Tensor", add},
      {"torch.ops.aten.add_.Tensor", add},
      {"torch.ops.aten.alias.default", same},
      {"torch.ops.aten.batch_norm.default", batch_norm},
      {"torch.ops.aten.contiguous.default", same},
      {"torch.ops.aten.conv2d.default", conv2d},
      {"torch.ops.aten.detach.default", same},
      {"torch.ops.aten.dropout.default", dropout},
      {"torch.ops.aten.dropout_.default", dropout},
      {"torch.ops.aten.flatten.using_ints", reshape},
      {"torch.ops.aten.linear.default", linear},
      {"torch.ops.aten.max_pool2d.default", max_pool2d},
      {"torch.ops.aten.mean.dim", mean},
      {"torch.ops.aten.relu.default", relu},
      {"torch.ops.aten.relu_.default", relu},
      {"torch.ops.aten.reshape.default", reshape},
      {"torch.ops.aten.sym_size.int", nothing},
      {"torch.ops.aten.view.default", reshape},
  };
  const auto found = rows.find(target);
  return found == rows.end() ? nullptr : found->second;
}

}  // namespace lockstep
