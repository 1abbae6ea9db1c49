// From tensors to what kernels take: typed pointers.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <optional>

#include "engine/device/KernelForm.h"
#include "kernels/ElementTypes.h"

namespace lockstep {

/// Calls `body.operator()<Element>()` for the CPU, or `body.operator()<Element>(stream)` for a GPU, with the kernels'
/// type for the elements of `tensor`.
template <typename Body>
void for_element_type(const at::Tensor& tensor, const Body& body) {
  with_kernel_form(tensor.device(), [&](auto... stream) {
    switch (tensor.scalar_type()) {
      case at::kFloat:
        return body.template operator()<float>(stream...);
      case at::kDouble:
        return body.template operator()<double>(stream...);
      case at::kBFloat16:
        return body.template operator()<kernels::BFloat16>(stream...);
      case at::kHalf:
        return body.template operator()<kernels::Half>(stream...);
      default:
        TORCH_CHECK(false, "it takes floating-point tensors, not ", c10::toString(tensor.scalar_type()));
    }
  });
}

/// The type of parameters, their gradients and statistics beside activations of `type`.
inline at::ScalarType arithmetic_type(at::ScalarType type) { return type == at::kDouble ? at::kDouble : at::kFloat; }

/// Whether a gradient for this input is wanted: asked in forward, because autograd numbers only the tensors that are
/// there.
inline bool is_trained(const std::optional<at::Tensor>& tensor) { return tensor && tensor->requires_grad(); }

/// A tensor's elements; nullptr for a tensor that is not there.
template <typename Element>
const Element* elements(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const Element*>(tensor.const_data_ptr()) : nullptr;
}
template <typename Element>
Element* mutable_elements(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<Element*>(tensor.mutable_data_ptr()) : nullptr;
}

/// A parameter of `columns` elements as kernels read it beside activations of `type`; none stays none. Autograd sees
/// the conversion, if there is any.
inline std::optional<at::Tensor> parameter_beside(const std::optional<at::Tensor>& parameter, at::ScalarType type,
                                                  std::int64_t columns) {
  if (!parameter || !parameter->defined()) return std::nullopt;
  TORCH_CHECK(parameter->dim() == 1 && parameter->numel() == columns, "a parameter of ", columns,
              " elements is expected, not one of sizes ", parameter->sizes());
  return parameter->to(arithmetic_type(type)).contiguous();
}

/// A tensor as rows of its last dimension.
inline std::int64_t columns_of(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.dim() > 0, "it takes tensors with a last dimension");
  return tensor.size(-1);
}
inline std::int64_t rows_of(const at::Tensor& tensor) {
  return tensor.size(-1) == 0 ? 0 : tensor.numel() / tensor.size(-1);
}

}  // namespace lockstep
