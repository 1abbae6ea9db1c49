// bias_gelu(Tensor x, Tensor? bias, *, str approximate) -> Tensor
//   gelu(x + bias) with the bias along the last dimension; `approximate` is "none" or "tanh", as in aten::gelu.
#include "kernels/bias_gelu/BiasGelu.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "engine/program/OperatorTraits.h"
#include "engine/program/operators/Elements.h"
#include "engine/program/operators/Registration.h"
#include "kernels/ColumnSum.h"

namespace lockstep {

namespace {

const OperatorRegistration kBiasGeluRow("lockstep.bias_gelu", {.sharing = Sharing::kNever, .again = Again::kCheap});

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct BiasGelu : public torch::autograd::Function<BiasGelu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& given_bias,
                            bool tanh) {
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    at::Tensor y = at::empty_like(x);
    for_element_type(x, [&]<typename Element>(auto... stream) {
      kernels::bias_gelu(
          kernels::BiasGeluForward<Element>{
              .x = elements<Element>(x),
              .bias = elements<kernels::Arithmetic<Element>>(bias),
              .y = mutable_elements<Element>(y),
              .rows = rows_of(x),
              .columns = columns_of(x),
              .form = tanh ? kernels::Gelu::kTanh : kernels::Gelu::kErf,
          },
          stream...);
    });
    context->save_for_backward({x, bias});
    context->saved_data["tanh"] = tanh;
    context->saved_data["bias_trained"] = is_trained(given_bias);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& bias = saved[1];
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor dx = at::empty_like(x);
    const bool bias_wanted = context->saved_data["bias_trained"].toBool();
    const at::TensorOptions options = x.options().dtype(arithmetic_type(x.scalar_type()));
    const at::Tensor bias_gradient = bias_wanted ? at::empty({columns_of(x)}, options) : at::Tensor();
    const at::Tensor workspace =
        bias_wanted ? at::empty({kernels::column_sum_workspace(rows_of(x), columns_of(x))}, options) : at::Tensor();
    for_element_type(x, [&]<typename Element>(auto... stream) {
      using Real = kernels::Arithmetic<Element>;
      kernels::bias_gelu_backward(
          kernels::BiasGeluBackward<Element>{
              .dy = elements<Element>(dy),
              .x = elements<Element>(x),
              .bias = elements<Real>(bias),
              .dx = mutable_elements<Element>(dx),
              .bias_gradient = mutable_elements<Real>(bias_gradient),
              .workspace = mutable_elements<Real>(workspace),
              .rows = rows_of(x),
              .columns = columns_of(x),
              .form = context->saved_data["tanh"].toBool() ? kernels::Gelu::kTanh : kernels::Gelu::kErf,
          },
          stream...);
    });
    return {dx, bias_gradient, {}};
  }
};

at::Tensor bias_gelu(const at::Tensor& x, const std::optional<at::Tensor>& bias, std::string_view approximate) {
  TORCH_CHECK(approximate == "none" || approximate == "tanh", "approximate is none or tanh, not ", approximate);
  return BiasGelu::apply(x.contiguous(), parameter_beside(bias, x.scalar_type(), columns_of(x)), approximate == "tanh");
}

}  // namespace

void register_bias_gelu(torch::Library& library) {
  library.def("bias_gelu(Tensor x, Tensor? bias, *, str approximate) -> Tensor", &bias_gelu);
}

}  // namespace lockstep
