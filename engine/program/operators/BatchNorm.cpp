// batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training,
//            float momentum, float eps, Tensor? residual, bool relu) -> Tensor
//   aten::batch_norm, then the residual, of the same sizes, added, then aten::relu if asked. As aten::batch_norm does,
//   training updates the running statistics. Our kernel is for training on a CPU where rows of channels lie one behind
//   the other: images channels last, and [samples, channels]. Anything else takes PyTorch's operators.
#include "kernels/batch_norm/BatchNorm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/relu.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "engine/program/OperatorTraits.h"
#include "engine/program/operators/Elements.h"
#include "engine/program/operators/Registration.h"

namespace lockstep {

namespace {

const OperatorRegistration kBatchNormRow(
    "lockstep.batch_norm",
    {.sharing = Sharing::kNever,
     .again = Again::kCheap,
     .saves = Saves::kBoth,
     .inference = InferenceForm{.argument = "training", .value = false, .with_running_statistics = true},
     .statistics = StatisticsForm{.flag = "training"}});

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// [N, C] and [N, C, H, W] whose channels lie side by side.
bool has_rows_of_channels(const at::Tensor& x) {
  return x.dim() == 2 ? x.is_contiguous() : x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

at::MemoryFormat order_of(const at::Tensor& x) {
  return x.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

struct Statistics {
  at::Tensor running_mean, running_variance;
  double momentum, epsilon;
};

struct BatchNorm : public torch::autograd::Function<BatchNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& given_weight, const std::optional<at::Tensor>& given_bias,
                            const std::optional<at::Tensor>& given_residual, const Statistics& statistics, bool relu) {
    const at::Tensor weight = given_weight.value_or(at::Tensor());
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    const at::Tensor residual = given_residual.value_or(at::Tensor());
    const std::int64_t columns = x.size(1);
    const std::int64_t rows = x.numel() / columns;
    const at::TensorOptions options = x.options().dtype(arithmetic_type(x.scalar_type()));
    at::Tensor y = at::empty_like(x);
    const at::Tensor mean = at::empty({columns}, options);
    const at::Tensor rstd = at::empty({columns}, options);
    const at::Tensor workspace = at::empty({kernels::batch_norm_workspace(rows, columns)}, options);
    for_element_type(x, [&]<typename Element>(auto...) {
      using Real = kernels::Arithmetic<Element>;
      kernels::batch_norm(kernels::BatchNormForward<Element>{
          .x = elements<Element>(x),
          .residual = elements<Element>(residual),
          .weight = elements<Real>(weight),
          .bias = elements<Real>(bias),
          .y = mutable_elements<Element>(y),
          .mean = mutable_elements<Real>(mean),
          .rstd = mutable_elements<Real>(rstd),
          .running_mean = mutable_elements<Real>(statistics.running_mean),
          .running_variance = mutable_elements<Real>(statistics.running_variance),
          .workspace = mutable_elements<Real>(workspace),
          .rows = rows,
          .columns = columns,
          .epsilon = statistics.epsilon,
          .momentum = statistics.momentum,
          .relu = relu,
      });
    });
    context->save_for_backward({x, weight, bias, mean, rstd, relu && residual.defined() ? y : at::Tensor()});
    context->saved_data["has_residual"] = residual.defined();
    context->saved_data["relu"] = relu;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const std::int64_t columns = x.size(1);
    const std::int64_t rows = x.numel() / columns;
    const at::Tensor dy = gradients[0].contiguous(order_of(x));
    const at::Tensor dx = at::empty_like(x);
    const at::Tensor dresidual = context->saved_data["has_residual"].toBool() ? at::empty_like(x) : at::Tensor();
    const at::TensorOptions options = saved[3].options();
    const at::Tensor weight_gradient = at::empty({columns}, options);
    const at::Tensor bias_gradient = at::empty({columns}, options);
    const at::Tensor workspace = at::empty({kernels::batch_norm_workspace(rows, columns)}, options);
    for_element_type(x, [&]<typename Element>(auto...) {
      using Real = kernels::Arithmetic<Element>;
      kernels::batch_norm_backward(kernels::BatchNormBackward<Element>{
          .dy = elements<Element>(dy),
          .x = elements<Element>(x),
          .y = elements<Element>(saved[5]),
          .mean = elements<Real>(saved[3]),
          .rstd = elements<Real>(saved[4]),
          .weight = elements<Real>(saved[1]),
          .bias = elements<Real>(saved[2]),
          .dx = mutable_elements<Element>(dx),
          .dresidual = mutable_elements<Element>(dresidual),
          .weight_gradient = mutable_elements<Real>(weight_gradient),
          .bias_gradient = mutable_elements<Real>(bias_gradient),
          .workspace = mutable_elements<Real>(workspace),
          .rows = rows,
          .columns = columns,
          .relu = context->saved_data["relu"].toBool(),
      });
    });
    return {dx,
            saved[1].defined() ? weight_gradient : at::Tensor(),
            saved[2].defined() ? bias_gradient : at::Tensor(),
            dresidual,
            {},
            {}};
  }
};

at::Tensor batch_norm(const at::Tensor& input, const std::optional<at::Tensor>& weight,
                      const std::optional<at::Tensor>& bias, const std::optional<at::Tensor>& running_mean,
                      const std::optional<at::Tensor>& running_var, bool training, double momentum, double eps,
                      const std::optional<at::Tensor>& residual, bool relu) {
  const auto fits = [&](const std::optional<at::Tensor>& statistic) {
    return !statistic || (statistic->is_contiguous() && statistic->numel() == input.size(1) &&
                          statistic->scalar_type() == arithmetic_type(input.scalar_type()));
  };
  const bool ours =
      training && input.device().is_cpu() && input.is_floating_point() && input.numel() > 0 &&
      has_rows_of_channels(input) && fits(running_mean) && fits(running_var) &&
      (!residual || (residual->sizes() == input.sizes() && residual->scalar_type() == input.scalar_type()));
  if (!ours) {
    const at::Tensor normalised =
        at::batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps,
                       /*cudnn_enabled=*/true);
    at::Tensor sum = residual ? normalised + *residual : normalised;
    return relu ? at::relu_(sum) : sum;
  }
  const at::ScalarType type = input.scalar_type();
  const std::int64_t channels = input.size(1);
  return BatchNorm::apply(
      input, parameter_beside(weight, type, channels), parameter_beside(bias, type, channels),
      residual ? std::optional(residual->contiguous(order_of(input))) : std::nullopt,
      Statistics{running_mean.value_or(at::Tensor()), running_var.value_or(at::Tensor()), momentum, eps}, relu);
}

}  // namespace

void register_batch_norm(torch::Library& library) {
  library.def(
      "batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool "
      "training, "
      "float momentum, float eps, Tensor? residual, bool relu) -> Tensor",
      &batch_norm);
}

}  // namespace lockstep
