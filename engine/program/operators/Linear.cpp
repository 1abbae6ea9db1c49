// linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor
//   aten::linear. Large products of float32 on the CPU are oneDNN's in place of MKL's: where one of them is faster
//   depends on the processor (multiplies_faster_by_onednn).
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "engine/program/Fusions.h"
#include "engine/program/MultiplyAdds.h"
#include "engine/program/OperatorTraits.h"
#include "engine/program/operators/Elements.h"
#include "engine/program/operators/Registration.h"

namespace lockstep {

namespace {

const OperatorRegistration kLinearRow("lockstep.linear", {.sharing = Sharing::kNever,
                                                          .again = Again::kDear,
                                                          .multiply_adds = multiply_adds_of_linear});

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = std::optional<at::Tensor>;

// a · bᵀ + bias, of matrices; `a` may have more dimensions before its last.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, const OptionalTensor& bias = std::nullopt) {
  static const auto onednn =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const OptionalTensor&, std::string_view,
                            c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>)>();
  return onednn.call(a, b, bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

struct Linear : public torch::autograd::Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const OptionalTensor& bias) {
    const at::Tensor nothing;  // an input without a trained weight need not stay until backward
    context->save_for_backward({weight.requires_grad() ? input : nothing, input.requires_grad() ? weight : nothing});
    context->saved_data["features"] = input.size(-1);
    context->saved_data["contiguous"] = weight.is_contiguous();
    context->saved_data["bias_trained"] = is_trained(bias);
    return product(input, weight, bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto rows = [](const at::Tensor& tensor) { return tensor.reshape({-1, tensor.size(-1)}); };
    const auto& [input, weight] = std::tie(saved[0], saved[1]);
    const at::Tensor dy = rows(gradients[0]);
    variable_list results(3);
    if (weight.defined()) {
      std::vector<std::int64_t> sizes = gradients[0].sizes().vec();
      sizes.back() = context->saved_data["features"].toInt();
      results[0] = product(dy, weight.t()).view(sizes);
    }
    if (input.defined()) {
      // Of a weight that is stored transposed the gradient comes out so, too. Of another oneDNN is no faster.
      const bool contiguous = context->saved_data["contiguous"].toBool();
      results[1] = contiguous ? at::mm(dy.t(), rows(input)) : product(rows(input).t(), dy.t()).t();
    }
    if (context->saved_data["bias_trained"].toBool()) results[2] = dy.sum(0);
    return results;
  }
};

bool is_large(const at::Tensor& input, const at::Tensor& weight) {
  return input.dim() > 1 && weight.dim() == 2 && input.size(-1) == weight.size(1) &&
         std::min({weight.size(0), weight.size(1), rows_of(input)}) >= kLargeProduct;
}

bool is_float_on_cpu(const at::Tensor& tensor) { return tensor.is_cpu() && tensor.scalar_type() == at::kFloat; }

at::Tensor linear(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& bias) {
  if (!is_float_on_cpu(input) || !is_float_on_cpu(weight) || (bias && !is_float_on_cpu(*bias)) ||
      !is_large(input, weight) || at::autocast::is_autocast_enabled(at::kCPU) ||
      !at::globalContext().userEnabledMkldnn()) {
    return at::linear(input, weight, bias);
  }
  return Linear::apply(input.contiguous(), weight, bias);
}

}  // namespace

void register_linear(torch::Library& library) {
  library.def("linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor", &linear);
}

}  // namespace lockstep
