#include "engine/program/operators/SoftmaxCrossEntropy.h"

#include <optional>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "engine/program/operators/Elements.h"
#include "kernels/softmax_cross_entropy/SoftmaxCrossEntropy.h"

namespace lockstep {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// As the kernels read them beside these logits.
std::optional<at::Tensor> weights_for(const at::Tensor& weights, const at::Tensor& logits, std::int64_t count) {
  if (!weights.defined()) return std::nullopt;
  TORCH_CHECK(weights.dim() == 1 && weights.numel() == count, count, " weights are expected, not a tensor of sizes ",
              weights.sizes());
  return weights.detach().to(arithmetic_type(logits.scalar_type())).contiguous();
}

struct SoftmaxCrossEntropy : public torch::autograd::Function<SoftmaxCrossEntropy> {
  static variable_list forward(AutogradContext* context, const at::Tensor& logits, const at::Tensor& labels,
                               const std::optional<at::Tensor>& class_weights,
                               const std::optional<at::Tensor>& row_weights, double label_smoothing,
                               std::int64_t ignore_index) {
    const std::int64_t rows = logits.size(0);
    const std::int64_t classes = logits.size(1);
    const at::TensorOptions reals = logits.options().dtype(arithmetic_type(logits.scalar_type()));
    const at::Tensor losses = at::empty({rows}, reals);
    const at::Tensor log_sum_exp = at::empty({rows}, reals);
    const at::Tensor sum = at::empty({}, reals);
    const at::Tensor denominator = at::empty({}, reals);
    const at::Tensor workspace = at::empty({kernels::cross_entropy_workspace(rows)}, reals);
    const at::Tensor invalid = at::zeros({}, labels.options());
    for_element_type(logits, [&]<typename Element>(auto... stream) {
      using Real = kernels::Arithmetic<Element>;
      kernels::softmax_cross_entropy(
          kernels::SoftmaxCrossEntropyForward<Element>{
              .logits = elements<Element>(logits),
              .labels = elements<std::int64_t>(labels),
              .weights = elements<Real>(class_weights.value_or(at::Tensor())),
              .row_weights = elements<Real>(row_weights.value_or(at::Tensor())),
              .loss = mutable_elements<Real>(losses),
              .log_sum_exp = mutable_elements<Real>(log_sum_exp),
              .loss_sum = mutable_elements<Real>(sum),
              .denominator = mutable_elements<Real>(denominator),
              .invalid = mutable_elements<std::int64_t>(invalid),
              .workspace = mutable_elements<Real>(workspace),
              .rows = rows,
              .classes = classes,
              .ignore_index = ignore_index,
              .label_smoothing = label_smoothing,
          },
          stream...);
    });
    // A GPU would have to be waited for; there the loss is NaN.
    if (logits.is_cpu()) {
      const auto count = invalid.item<std::int64_t>();
      TORCH_CHECK_INDEX(count == 0, count, " of ", rows, " labels are not classes of 0 … ", classes - 1);
    }
    // Detached: a view keeps what it is a view of, which would count as another reader of its memory.
    context->save_for_backward({logits.detach(), labels, log_sum_exp, class_weights.value_or(at::Tensor()),
                                row_weights.value_or(at::Tensor())});
    context->saved_data["label_smoothing"] = label_smoothing;
    context->saved_data["ignore_index"] = ignore_index;
    context->mark_non_differentiable({denominator});
    context->set_materialize_grads(false);
    return {sum, denominator};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    if (!gradients[0].defined()) return {{}, {}, {}, {}, {}, {}};
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& logits = saved[0];
    // Whoever can still read the logits, as autograd for another gradient, holds their memory as well.
    const bool alone = logits.storage().use_count() == 1;
    const at::Tensor dlogits = alone ? logits : at::empty_like(logits);
    const at::Tensor scale = gradients[0].contiguous();
    const at::Tensor workspace = at::empty({1}, scale.options());
    for_element_type(logits, [&]<typename Element>(auto... stream) {
      using Real = kernels::Arithmetic<Element>;
      kernels::softmax_cross_entropy_backward(
          kernels::SoftmaxCrossEntropyBackward<Element>{
              .logits = elements<Element>(logits),
              .labels = elements<std::int64_t>(saved[1]),
              .weights = elements<Real>(saved[3]),
              .row_weights = elements<Real>(saved[4]),
              .log_sum_exp = elements<Real>(saved[2]),
              .scale = elements<Real>(scale),
              .dlogits = mutable_elements<Element>(dlogits),
              .workspace = mutable_elements<Real>(workspace),
              .rows = logits.size(0),
              .classes = logits.size(1),
              .ignore_index = context->saved_data["ignore_index"].toInt(),
              .label_smoothing = context->saved_data["label_smoothing"].toDouble(),
          },
          stream...);
    });
    if (alone) torch::autograd::impl::bump_version(logits);  // a second backward would be an error
    return {dlogits, {}, {}, {}, {}, {}};
  }
};

}  // namespace

CrossEntropySums softmax_cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                                       const SoftmaxCrossEntropyOptions& options) {
  TORCH_CHECK(
      logits.dim() == 2 && labels.dim() == 1 && logits.size(0) == labels.size(0) && labels.scalar_type() == at::kLong,
      "it takes logits [N, C] and int64 labels [N], not tensors of sizes ", logits.sizes(), " and ", labels.sizes());
  const variable_list sums = SoftmaxCrossEntropy::apply(
      logits.contiguous(), labels.contiguous(), weights_for(options.class_weights, logits, logits.size(1)),
      weights_for(options.row_weights, logits, logits.size(0)), options.label_smoothing, options.ignore_index);
  return {.loss = sums[0], .weight = sums[1]};
}

}  // namespace lockstep
