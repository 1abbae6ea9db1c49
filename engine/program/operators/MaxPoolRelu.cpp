// max_pool2d_relu(Tensor x, int[2] kernel_size, int[2] stride, int[2] padding, *, bool ceil_mode, bool relu) -> Tensor
//   aten::max_pool2d without dilation of x [N, C, H, W], and aten::relu of that if asked. Our kernel is for channels
//   last; tensors in another order take PyTorch's.
#include "kernels/max_pool_relu/MaxPoolRelu.h"

#include <limits>

#include <ATen/ops/empty.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>
#include <torch/csrc/autograd/custom_function.h>

#include "engine/program/OperatorTraits.h"
#include "engine/program/operators/Elements.h"
#include "engine/program/operators/Registration.h"

namespace lockstep {

namespace {

const OperatorRegistration kMaxPool2dReluRow("lockstep.max_pool2d_relu", {.sharing = Sharing::kNever,
                                                                          .again = Again::kDear,
                                                                          .saves = Saves::kNothing});

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Window {
  std::vector<std::int64_t> kernel_size, stride, padding;
  bool ceil_mode;
};

kernels::PoolShape pool_shape(const std::vector<std::int64_t>& sizes, const Window& window) {
  const auto axis = [&](std::size_t i) {
    return kernels::pool_axis(sizes[2 + i], static_cast<std::int32_t>(window.kernel_size[i]),
                              static_cast<std::int32_t>(window.stride[i]), static_cast<std::int32_t>(window.padding[i]),
                              window.ceil_mode);
  };
  return {.batch = sizes[0], .channels = sizes[1], .rows = axis(0), .columns = axis(1)};
}

struct MaxPoolRelu : public torch::autograd::Function<MaxPoolRelu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Window& window, bool relu) {
    const kernels::PoolShape shape = pool_shape(x.sizes().vec(), window);
    TORCH_CHECK(shape.rows.outputs > 0 && shape.columns.outputs > 0, "an image of sizes ", x.sizes(),
                " is smaller than the window ", window.kernel_size);
    const std::vector<std::int64_t> sizes = {shape.batch, shape.channels, shape.rows.outputs, shape.columns.outputs};
    at::Tensor y = at::empty(sizes, x.options(), at::MemoryFormat::ChannelsLast);
    const at::Tensor index = at::empty(sizes, x.options().dtype(at::kByte), at::MemoryFormat::ChannelsLast);
    for_element_type(x, [&]<typename Element>(auto... stream) {
      kernels::max_pool_relu(kernels::MaxPoolReluForward<Element>{.x = elements<Element>(x),
                                                                  .y = mutable_elements<Element>(y),
                                                                  .index = mutable_elements<std::uint8_t>(index),
                                                                  .shape = shape,
                                                                  .relu = relu},
                             stream...);
    });
    context->save_for_backward({index});
    context->saved_data["sizes"] = x.sizes().vec();
    context->saved_data["kernel_size"] = window.kernel_size;
    context->saved_data["stride"] = window.stride;
    context->saved_data["padding"] = window.padding;
    context->saved_data["ceil_mode"] = window.ceil_mode;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto list = [&](const char* name) { return context->saved_data[name].toIntVector(); };
    const std::vector<std::int64_t> sizes = list("sizes");
    const kernels::PoolShape shape = pool_shape(
        sizes, {list("kernel_size"), list("stride"), list("padding"), context->saved_data["ceil_mode"].toBool()});
    const at::Tensor index = context->get_saved_variables()[0];
    const at::Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor dx = at::empty(sizes, dy.options(), at::MemoryFormat::ChannelsLast);
    for_element_type(dy, [&]<typename Element>(auto... stream) {
      kernels::max_pool_relu_backward(kernels::MaxPoolReluBackward<Element>{.dy = elements<Element>(dy),
                                                                            .index = elements<std::uint8_t>(index),
                                                                            .dx = mutable_elements<Element>(dx),
                                                                            .shape = shape},
                                      stream...);
    });
    return {dx, {}, {}};
  }
};

at::Tensor max_pool2d_relu(const at::Tensor& x, at::IntArrayRef kernel_size, at::IntArrayRef stride,
                           at::IntArrayRef padding, bool ceil_mode, bool relu) {
  TORCH_CHECK(x.dim() == 4, "it takes images [N, C, H, W], not a tensor of sizes ", x.sizes());
  // With one channel, or one pixel, both orders are contiguous, and the strides still say which of them is meant.
  if (!x.is_contiguous(at::MemoryFormat::ChannelsLast) || x.suggest_memory_format() != at::MemoryFormat::ChannelsLast ||
      !x.is_floating_point() || x.numel() > kernels::kMostPoolImage * x.size(0)) {
    const at::Tensor pooled = at::max_pool2d(x, kernel_size, stride, padding, /*dilation=*/1, ceil_mode);
    return relu ? at::relu(pooled) : pooled;
  }
  TORCH_CHECK(kernel_size.size() == 2 && stride.size() == 2 && padding.size() == 2,
              "kernel_size, stride and padding are of two numbers");
  for (std::size_t i = 0; i < 2; ++i) {
    TORCH_CHECK(kernel_size[i] >= 1 && kernel_size[i] <= kernels::kMostPoolKernel, "a window of ", kernel_size[i],
                " is not within 1 … ", kernels::kMostPoolKernel);
    TORCH_CHECK(stride[i] >= 1 && stride[i] <= std::numeric_limits<std::int32_t>::max(), "a stride of ", stride[i]);
    TORCH_CHECK(padding[i] >= 0 && padding[i] <= kernel_size[i] / 2, "a padding of ", padding[i],
                " is more than half of the window");
  }
  return MaxPoolRelu::apply(x, Window{kernel_size.vec(), stride.vec(), padding.vec(), ceil_mode}, relu);
}

}  // namespace

void register_max_pool_relu(torch::Library& library) {
  library.def(
      "max_pool2d_relu(Tensor x, int[2] kernel_size, int[2] stride, int[2] padding, *, bool ceil_mode, bool relu) "
      "-> Tensor",
      &max_pool2d_relu);
}

}  // namespace lockstep
