#include <algorithm>
#include <functional>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowImages.h"
#include "engine/artifacts/tensorflow/TensorflowShapes.h"

namespace lockstep {

namespace {

bool all(const Ints& values, std::int64_t wanted) { return std::ranges::count(values, wanted) == std::ssize(values); }

// Weights with their spatial dimensions in front: [..., in ÷ groups, out] of a convolution, or with the last two in the
// program's order.
TensorflowValue kernel(PrimitiveCall& call, bool exchanged = true) {
  const std::size_t rank = call.in(1).sizes.size();
  Ints axes = in_order(rank);
  std::rotate(axes.begin(), axes.begin() + 2, axes.end());
  if (exchanged) std::swap(axes[rank - 1], axes[rank - 2]);
  TensorflowValue weight = call.input(1, axes);
  weight.axes = in_order(rank);
  std::vector<Dimension> sizes = weight.sizes;
  if (rank == 3) sizes.insert(sizes.begin(), std::int64_t{1});
  return call.builder().reshaped(weight, sizes);
}

// Zeros between the weights: for kernels without dilation.
TensorflowValue dilated(TensorflowBuilder& builder, TensorflowValue kernel, const Ints& dilation) {
  for (std::size_t i = 0; i < dilation.size(); ++i) {
    const std::int64_t size = std::get<std::int64_t>(kernel.sizes[i]);
    if (dilation[i] == 1 || size == 1) continue;
    std::vector<Dimension> sizes = kernel.sizes;
    sizes.insert(sizes.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::int64_t{1});
    Ints zeros(sizes.size());
    Ints after = zeros;
    after[i + 1] = dilation[i] - 1;
    kernel = padded(builder, builder.reshaped(kernel, sizes), zeros, after, 0);
    sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    sizes[i] = size * dilation[i];
    kernel = builder.reshaped(kernel, sizes);
    std::vector<TensorflowSlice> slices(i + 1);
    slices[i].end = size * dilation[i] - (dilation[i] - 1);
    kernel = sliced(builder, kernel, slices);
    kernel.sizes[i] = std::get<std::int64_t>(slices[i].end);
  }
  return kernel;
}

using Convolve = std::function<TensorflowValue(const TensorflowValue& x, const TensorflowValue& kernel)>;

// For kernels without groups. The last dimension of both is cut.
TensorflowValue by_groups(TensorflowBuilder& builder, const TensorflowValue& x, const TensorflowValue& kernel,
                          std::int64_t groups, const Convolve& convolve) {
  if (groups == 1) return convolve(x, kernel);
  const std::size_t last = x.sizes.size() - 1;
  const std::vector<TensorflowValue> inputs = split(builder, x, last, groups);
  const std::vector<TensorflowValue> kernels = split(builder, kernel, last, groups);
  std::vector<TensorflowValue> outputs;
  for (std::size_t i = 0; i < inputs.size(); ++i) outputs.push_back(convolve(inputs[i], kernels[i]));
  return concatenated(builder, std::move(outputs), last);
}

TensorflowAttributes window_attributes(const TensorflowValue& x, const primitive::Window& window) {
  return {{"strides", around_images(window.stride, 1)},
          {"dilations", around_images(window.dilation, 1)},
          {"data_format", image_format(x)}};
}

TensorflowValue convolution_3d(TensorflowBuilder& builder, const TensorflowValue& x, const TensorflowValue& weight,
                               primitive::Window window, std::int64_t groups) {
  const TensorflowValue spread = dilated(builder, weight, window.dilation);
  window.dilation.assign(window.dilation.size(), 1);
  return by_groups(builder, padded_image(builder, x, window.before, window.after, 0), spread, groups,
                   [&](const TensorflowValue& part, const TensorflowValue& kernel) {
                     TensorflowAttributes attributes = window_attributes(x, window);
                     attributes["padding"] = std::string("VALID");
                     return builder.add("Conv3D", {part, kernel}, std::move(attributes));
                   });
}

TensorflowValue convolution_2d(PrimitiveCall& call, const TensorflowValue& x, const primitive::Window& window,
                               std::int64_t groups) {
  TensorflowBuilder& builder = call.builder();
  TensorflowAttributes attributes = window_attributes(x, window);
  // EXPLICIT, never SAME: with stride 2 TensorFlow's SAME pads at the end only.
  attributes["padding"] = std::string("EXPLICIT");
  attributes["explicit_paddings"] =
      Ints{0, 0, window.before[0], window.after[0], window.before[1], window.after[1], 0, 0};
  attributes["use_cudnn_on_gpu"] = true;
  TensorflowValue y = builder.add("Conv2D", {x, kernel(call)}, std::move(attributes));
  y.groups = groups;
  return y;
}

// One channel in each group. TensorFlow's kernel for it takes equal strides and no dilation.
bool is_depthwise(const TensorflowValue& x, const primitive::Window& window, std::int64_t groups) {
  return groups > 1 && x.sizes.size() == 4 && x.sizes.back() == Dimension(groups) && all(window.dilation, 1) &&
         all(window.stride, window.stride[0]);
}

// Whether TensorFlow's SAME is the window's padding. With strides it depends on the size of the image.
bool pads_as_same(const primitive::Window& window) {
  for (std::size_t i = 0; i < window.size.size(); ++i) {
    const std::int64_t all = window.size[i] - 1;
    if (window.stride[i] != 1 || window.before[i] != all / 2 || window.after[i] != all - all / 2) return false;
  }
  return true;
}

TensorflowValue depthwise_convolution(PrimitiveCall& call, const TensorflowValue& x, const primitive::Window& window,
                                      std::int64_t groups) {
  TensorflowBuilder& builder = call.builder();
  const auto outputs = std::get<std::int64_t>(call.in(1).sizes.at(0));
  const TensorflowValue weight =
      builder.reshaped(kernel(call, false), {window.size[0], window.size[1], groups, outputs / groups});
  TensorflowAttributes attributes = window_attributes(x, window);
  // Not EXPLICIT: the operator that oneDNN makes of it and a bias forgets that padding.
  const bool same = pads_as_same(window);
  attributes["padding"] = std::string(same ? "SAME" : "VALID");
  const TensorflowValue padded = same ? x : padded_image(builder, x, window.before, window.after, 0);
  return builder.add("DepthwiseConv2dNative", {padded, weight}, std::move(attributes));
}

void bind_with_bias(PrimitiveCall& call, TensorflowValue y) {
  TensorflowBuilder& builder = call.builder();
  if (call.inputs() > 2) {
    y = y.groups > 1 ? builder.add("AddV2", {y, call.input(2)})
                     : builder.add("BiasAdd", {y, call.input(2)}, {{"data_format", std::string("NHWC")}});
  }
  bind_image(call, std::move(y));
}

// (n - 1) · stride + size + more, of a dimension of size n.
TensorflowInteger spread_size(TensorflowBuilder& builder, const TensorflowInteger& size, std::int64_t stride,
                              std::int64_t more) {
  if (const auto* known = std::get_if<std::int64_t>(&size)) return (*known - 1) * stride + more;
  const TensorflowValue factor = builder.scalar(stride);
  const TensorflowValue rest = builder.scalar(more - stride);
  return builder.add("AddV2", {builder.add("Mul", {std::get<TensorflowValue>(size), factor}), rest});
}

}  // namespace

void write_primitive(PrimitiveCall& call, const primitive::Convolution& operation) {
  const TensorflowValue x = image(call, 0);
  const primitive::Window window = over_images(operation.window);
  if (is_depthwise(x, window, operation.groups)) {
    bind_with_bias(call, depthwise_convolution(call, x, window, operation.groups));
  } else if (x.sizes.size() == 4) {
    bind_with_bias(call, convolution_2d(call, x, window, operation.groups));
  } else {
    bind_with_bias(call, convolution_3d(call.builder(), x, kernel(call), window, operation.groups));
  }
}

// The gradient of a convolution without padding; then what was padding is cut off.
void write_primitive(PrimitiveCall& call, const primitive::TransposedConvolution& operation) {
  TensorflowBuilder& builder = call.builder();
  const TensorflowValue x = image(call, 0);
  primitive::Window window = over_images(operation.window);
  Ints more = operation.output_padding;
  if (more.size() == 1) more.insert(more.begin(), 0);
  const TensorflowValue weight = dilated(builder, kernel(call), window.dilation);
  std::vector<TensorflowInteger> sizes = {builder.size(x, 0)};
  std::vector<TensorflowSlice> slices(1);
  bool whole = true;
  for (std::size_t i = 0; i < window.size.size(); ++i) {
    const std::int64_t missing = std::max<std::int64_t>(0, more[i] - window.after[i]);
    if (missing >= window.stride[i]) call.refuse("its output_padding is not less than its stride");
    const std::int64_t spread = window.dilation[i] * (window.size[i] - 1) + 1;
    sizes.push_back(spread_size(builder, builder.size(x, i + 1), window.stride[i], spread + missing));
    const std::int64_t cut = window.after[i] - more[i] + missing;
    slices.emplace_back().start = window.before[i];
    if (cut > 0) slices.back().end = -cut;
    whole = whole && window.before[i] == 0 && cut == 0;
  }
  sizes.emplace_back(std::get<std::int64_t>(call.in(1).sizes.at(1)));
  const TensorflowValue shape = builder.cast(builder.packed(sizes), ElementType::kInt32);
  window.dilation.assign(window.dilation.size(), 1);
  TensorflowAttributes attributes = window_attributes(x, window);
  attributes["padding"] = std::string("VALID");
  const bool images = x.sizes.size() == 4;
  if (images) attributes["use_cudnn_on_gpu"] = true;
  if (!images) attributes["Tshape"] = shape.type;
  TensorflowValue y =
      by_groups(builder, x, weight, operation.groups, [&](const TensorflowValue& part, const TensorflowValue& kernel) {
        TensorflowValue result = x;
        result.groups = 0;
        result.reference = builder
                               .add_of(x.type, images ? "Conv2DBackpropInput" : "Conv3DBackpropInputV2",
                                       {shape, kernel, part}, attributes)
                               .reference;
        return result;
      });
  bind_with_bias(call, whole ? y : sliced(builder, y, slices));
}

}  // namespace lockstep
