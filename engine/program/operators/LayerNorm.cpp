// layer_norm(Tensor x, Tensor? weight, Tensor? bias, *, float eps) -> Tensor
//   aten::layer_norm over the last dimension.
// add_layer_norm(Tensor x, Tensor residual, Tensor? weight, Tensor? bias, *, float eps) -> (Tensor sum, Tensor y)
//   sum = x + residual, of one shape, and y = layer_norm(sum).
#include "kernels/layer_norm/LayerNorm.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/result_type.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "engine/program/OperatorTraits.h"
#include "engine/program/operators/Elements.h"
#include "engine/program/operators/Registration.h"

namespace lockstep {

namespace {

const OperatorRegistration kLayerNormRow("lockstep.layer_norm", {.sharing = Sharing::kNever, .again = Again::kCheap});
const OperatorRegistration kAddLayerNormRow("lockstep.add_layer_norm", {.sharing = Sharing::kNever,
                                                                        .again = Again::kCheap,
                                                                        .saves = Saves::kResults});

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct LayerNorm : public torch::autograd::Function<LayerNorm> {
  // Without a residual: {y}; with one: {sum, y}.
  static variable_list forward(AutogradContext* context, const at::Tensor& x,
                               const std::optional<at::Tensor>& given_residual,
                               const std::optional<at::Tensor>& given_weight,
                               const std::optional<at::Tensor>& given_bias, double epsilon) {
    const at::Tensor residual = given_residual.value_or(at::Tensor());
    const at::Tensor weight = given_weight.value_or(at::Tensor());
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    const at::Tensor sum = residual.defined() ? at::empty_like(x) : at::Tensor();
    at::Tensor y = at::empty_like(x);
    const at::TensorOptions statistics = x.options().dtype(arithmetic_type(x.scalar_type()));
    const at::Tensor mean = at::empty({rows_of(x)}, statistics);
    const at::Tensor rstd = at::empty({rows_of(x)}, statistics);
    for_element_type(x, [&]<typename Element>(auto... stream) {
      using Real = kernels::Arithmetic<Element>;
      kernels::layer_norm(
          kernels::LayerNormForward<Element>{
              .x = elements<Element>(x),
              .residual = elements<Element>(residual),
              .weight = elements<Real>(weight),
              .bias = elements<Real>(bias),
              .sum = mutable_elements<Element>(sum),
              .y = mutable_elements<Element>(y),
              .mean = mutable_elements<Real>(mean),
              .rstd = mutable_elements<Real>(rstd),
              .rows = rows_of(x),
              .columns = columns_of(x),
              .epsilon = epsilon,
          },
          stream...);
    });
    context->save_for_backward({residual.defined() ? sum : x, weight, mean, rstd});
    context->saved_data["weight_trained"] = is_trained(given_weight);
    context->saved_data["bias_trained"] = is_trained(given_bias);
    context->set_materialize_grads(false);
    context->saved_data["has_residual"] = residual.defined();
    if (residual.defined()) return {sum, y};
    return {y};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& s = saved[0];
    const at::Tensor& weight = saved[1];
    const bool has_residual = context->saved_data["has_residual"].toBool();
    const at::Tensor dsum = has_residual && gradients[0].defined() ? gradients[0].contiguous() : at::Tensor();
    const at::Tensor& dy_given = gradients.back();
    const at::Tensor dy = dy_given.defined() ? dy_given.contiguous() : at::zeros_like(s);
    const at::Tensor dx = at::empty_like(s);
    const at::TensorOptions options = s.options().dtype(arithmetic_type(s.scalar_type()));
    const auto gradient_if = [&](const char* trained) {
      return context->saved_data[trained].toBool() ? at::empty({columns_of(s)}, options) : at::Tensor();
    };
    const at::Tensor weight_gradient = gradient_if("weight_trained");
    const at::Tensor bias_gradient = gradient_if("bias_trained");
    const at::Tensor workspace = weight_gradient.defined() || bias_gradient.defined()
                                     ? at::empty({kernels::layer_norm_workspace(rows_of(s), columns_of(s))}, options)
                                     : at::Tensor();
    for_element_type(s, [&]<typename Element>(auto... stream) {
      using Real = kernels::Arithmetic<Element>;
      kernels::layer_norm_backward(
          kernels::LayerNormBackward<Element>{
              .dy = elements<Element>(dy),
              .s = elements<Element>(s),
              .mean = elements<Real>(saved[2]),
              .rstd = elements<Real>(saved[3]),
              .weight = elements<Real>(weight),
              .dsum = elements<Element>(dsum),
              .dx = mutable_elements<Element>(dx),
              .weight_gradient = mutable_elements<Real>(weight_gradient),
              .bias_gradient = mutable_elements<Real>(bias_gradient),
              .workspace = mutable_elements<Real>(workspace),
              .rows = rows_of(s),
              .columns = columns_of(s),
          },
          stream...);
    });
    return {dx, has_residual ? dx : at::Tensor(), weight_gradient, bias_gradient, {}};
  }
};

at::Tensor layer_norm(const at::Tensor& x, const std::optional<at::Tensor>& weight,
                      const std::optional<at::Tensor>& bias, double eps) {
  const std::int64_t columns = columns_of(x);
  return LayerNorm::apply(x.contiguous(), std::nullopt, parameter_beside(weight, x.scalar_type(), columns),
                          parameter_beside(bias, x.scalar_type(), columns), eps)[0];
}

std::tuple<at::Tensor, at::Tensor> add_layer_norm(const at::Tensor& x, const at::Tensor& residual,
                                                  const std::optional<at::Tensor>& weight,
                                                  const std::optional<at::Tensor>& bias, double eps) {
  TORCH_CHECK(x.sizes() == residual.sizes(), "x and residual are of sizes ", x.sizes(), " and ", residual.sizes());
  const at::ScalarType type = at::result_type(x, residual);
  const std::int64_t columns = columns_of(x);
  variable_list results =
      LayerNorm::apply(x.to(type).contiguous(), std::optional(residual.to(type).contiguous()),
                       parameter_beside(weight, type, columns), parameter_beside(bias, type, columns), eps);
  return {results[0], results[1]};
}

}  // namespace

void register_layer_norm(torch::Library& library) {
  library.def("layer_norm(Tensor x, Tensor? weight, Tensor? bias, *, float eps) -> Tensor", &layer_norm);
  library.def(
      "add_layer_norm(Tensor x, Tensor residual, Tensor? weight, Tensor? bias, *, float eps) -> (Tensor, Tensor)",
      &add_layer_norm);
}

}  // namespace lockstep
