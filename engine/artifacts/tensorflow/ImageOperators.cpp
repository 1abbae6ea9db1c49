#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowOperators.h"

namespace lockstep {

namespace {

using Call = TensorflowCall;
using Sizes = std::vector<std::int64_t>;

at::Tensor channels_first(const at::Tensor& image) { return image.movedim(-1, 1); }
at::Tensor channels_behind(const at::Tensor& image) { return image.movedim(1, -1); }

// [..., in, out] → [out, in, ...]
at::Tensor out_first(const at::Tensor& kernel) {
  Sizes axes(static_cast<std::size_t>(kernel.dim()));
  std::iota(axes.begin(), axes.end(), 0);
  std::ranges::reverse(axes);
  std::reverse(axes.begin() + 2, axes.end());
  return kernel.permute(axes);
}

// Of the spatial dimensions.
Sizes spatial(const Call& call, const std::string& name) {
  const Sizes& values = call.get<Sizes>(name);
  return {values.begin() + 1, values.end() - 1};
}

void require_images(const Call& call, const at::Tensor& image) {
  call.require(image.dim() == 4 || image.dim() == 5);
  call.require("data_format", image.dim() == 4 ? "NHWC" : "NDHWC");
}

// Padded as the attributes of a convolution without dilation say: SAME is for strides of 1 here.
at::Tensor padded(const Call& call, const at::Tensor& image) {
  const std::string& kind = call.get<std::string>("padding");
  Sizes paddings(static_cast<std::size_t>(2 * image.dim()));
  if (kind == "EXPLICIT") {
    paddings = call.get<Sizes>("explicit_paddings");
  } else if (kind == "SAME") {
    const Sizes ones(static_cast<std::size_t>(image.dim() - 2), 1);
    call.require(spatial(call, "strides") == ones && spatial(call, "dilations") == ones);
    for (std::size_t i = 0; i < ones.size(); ++i) {
      const std::int64_t all = call.in(1).size(static_cast<std::int64_t>(i)) - 1;
      paddings[2 * i + 2] = all / 2;
      paddings[2 * i + 3] = all - all / 2;
    }
  } else {
    call.require("padding", "VALID");
  }
  Sizes from_the_end;
  for (std::size_t i = paddings.size(); i >= 2; i -= 2) {
    from_the_end.push_back(paddings[i - 2]);
    from_the_end.push_back(paddings[i - 1]);
  }
  return at::constant_pad_nd(image, from_the_end, 0);
}

at::Tensor convolve(const Call& call, const at::Tensor& image, const at::Tensor& kernel) {
  require_images(call, call.in(0));
  call.require(call.in(0).dim() == call.in(1).dim() && call.in(0).scalar_type() == call.in(1).scalar_type());
  const at::Tensor x = channels_first(image);
  const std::int64_t groups = x.size(1) / kernel.size(1);
  call.require(kernel.size(1) * groups == x.size(1) && (image.dim() == 4 || groups == 1));
  const Sizes dilations = spatial(call, "dilations");
  call.require(image.dim() == 4 || std::ranges::count(dilations, 1) == 3);
  const Sizes none(dilations.size());
  const Sizes strides = spatial(call, "strides");
  return channels_behind(at::convolution(x, kernel, {}, strides, none, dilations, false, none, groups));
}

at::Tensor conv2d(const Call& call) {
  call.require("padding", "EXPLICIT");
  return convolve(call, padded(call, call.in(0)), out_first(call.in(1)));
}

at::Tensor conv3d(const Call& call) {
  call.require("padding", "VALID");
  return convolve(call, call.in(0), out_first(call.in(1)));
}

// The kernel is [height, width, in, multiplier].
at::Tensor depthwise(const Call& call) {
  call.require(call.get<std::string>("padding") != "EXPLICIT");  // which oneDNN forgets
  const Sizes strides = spatial(call, "strides");
  const Sizes dilations = spatial(call, "dilations");
  const at::Tensor& kernel = call.in(1);
  call.require(strides[0] == strides[1] && dilations == Sizes{1, 1} && kernel.dim() == 4 &&
               kernel.size(2) == call.in(0).size(-1));
  return convolve(call, padded(call, call.in(0)),
                  kernel.reshape({kernel.size(0), kernel.size(1), -1, 1}).permute({2, 3, 0, 1}));
}

// What a convolution without padding has as the gradient of its input, of the sizes that are given.
at::Tensor transposed(const Call& call) {
  call.require("padding", "VALID");
  const Sizes sizes = call.integers(0);
  const at::Tensor& kernel = call.in(1);
  const at::Tensor& image = call.in(2);
  require_images(call, image);
  call.require(call.in(0).scalar_type() == at::kInt && kernel.dim() == image.dim() &&
               std::ssize(sizes) == image.dim() && sizes.front() == image.size(0) && sizes.back() == kernel.size(-2) &&
               kernel.size(-1) == image.size(-1));
  const Sizes strides = spatial(call, "strides");
  const Sizes ones(strides.size(), 1);
  const Sizes none(strides.size());
  call.require(spatial(call, "dilations") == ones);
  Sizes more;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    const auto dim = static_cast<std::int64_t>(i);
    more.push_back(sizes[i + 1] - ((image.size(dim + 1) - 1) * strides[i] + kernel.size(dim)));
    call.require(more.back() >= 0 && more.back() < strides[i]);
  }
  const at::Tensor weight = out_first(kernel);
  return channels_behind(at::convolution(channels_first(image), weight, {}, strides, none, ones, true, more, 1));
}

at::Tensor pool(const Call& call, bool max) {
  const at::Tensor& x = call.in(0);
  require_images(call, x);
  call.require("padding", "VALID");
  call.require(x.dim() == 4 || x.scalar_type() == at::kFloat);
  const Sizes window = spatial(call, "ksize");
  const Sizes strides = spatial(call, "strides");
  const at::Tensor image = channels_first(x);
  if (x.dim() == 4) {
    return channels_behind(max ? at::max_pool2d(image, window, strides) : at::avg_pool2d(image, window, strides));
  }
  return channels_behind(max ? at::max_pool3d(image, window, strides) : at::avg_pool3d(image, window, strides));
}

at::Tensor fused_batch_norm(const Call& call) {
  const at::Tensor& x = call.in(0);
  require_images(call, x);
  call.require(!call.flag("is_training") && x.scalar_type() == at::kFloat);
  for (std::size_t i = 1; i < 5; ++i) {
    const at::Tensor& each = call.in(i);
    call.require(each.dim() == 1 && each.size(0) == x.size(-1) && each.scalar_type() == at::kFloat);
  }
  const at::Tensor factor = (call.in(4) + call.get<float>("epsilon")).rsqrt();
  return (x - call.in(3)) * factor * call.in(1) + call.in(2);
}

at::Tensor resize(const Call& call, bool linear) {
  const at::Tensor image = channels_first(call.in(0));
  const Sizes sizes = call.integers(1);
  call.require(image.dim() == 4 && sizes.size() == 2 && call.in(1).scalar_type() == at::kInt);
  const bool corners = call.flag("align_corners");
  call.require(call.flag("half_pixel_centers") == (linear && !corners) && (linear || !corners));
  if (!linear) return channels_behind(at::upsample_nearest2d(image, sizes));
  return channels_behind(at::upsample_bilinear2d(image.to(at::kFloat), sizes, corners));
}

}  // namespace

TensorflowOperatorRows image_tensorflow_operators() {
  return {
      {"AvgPool", tensorflow_row("output", [](const Call& call) { return pool(call, false); })},
      {"AvgPool3D", tensorflow_row("output", [](const Call& call) { return pool(call, false); })},
      {"Conv2D", tensorflow_row("output", conv2d)},
      {"Conv2DBackpropInput", tensorflow_row("output", transposed)},
      {"Conv3D", tensorflow_row("output", conv3d)},
      {"Conv3DBackpropInputV2", tensorflow_row("output", transposed)},
      {"DepthwiseConv2dNative", tensorflow_row("output", depthwise)},
      {"FusedBatchNormV3", tensorflow_row("y", fused_batch_norm)},
      {"MaxPool", tensorflow_row("output", [](const Call& call) { return pool(call, true); })},
      {"MaxPool3D", tensorflow_row("output", [](const Call& call) { return pool(call, true); })},
      {"ResizeBilinear", tensorflow_row("resized_images", [](const Call& call) { return resize(call, true); })},
      {"ResizeNearestNeighbor", tensorflow_row("resized_images", [](const Call& call) { return resize(call, false); })},
  };
}

}  // namespace lockstep
