// embedding(Tensor weight, Tensor tokens, *, int padding_idx) -> Tensor
//   aten::embedding without its options; the gradient of the table is summed in one order, whatever the threads.
#include <limits>

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "engine/program/OperatorTraits.h"
#include "engine/program/operators/Elements.h"
#include "engine/program/operators/Registration.h"
#include "kernels/embedding_gradient/EmbeddingGradient.h"

namespace lockstep {

namespace {

const OperatorRegistration kEmbeddingRow("lockstep.embedding", {.sharing = Sharing::kNever, .again = Again::kDear});

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Embedding : public torch::autograd::Function<Embedding> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& weight, const at::Tensor& tokens,
                            std::int64_t padding_index) {
    context->save_for_backward({tokens});
    context->saved_data["vocabulary"] = weight.size(0);
    context->saved_data["padding_index"] = padding_index;
    const at::AutoDispatchBelowADInplaceOrView below;
    return at::embedding(weight, tokens);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor tokens = context->get_saved_variables()[0].to(at::kLong).contiguous();
    const at::Tensor dy = gradients[0].contiguous();
    const std::int64_t vocabulary = context->saved_data["vocabulary"].toInt();
    const std::int64_t positions = tokens.numel();
    const at::TensorOptions integers = tokens.options().dtype(at::kInt);
    const at::TensorOptions reals = dy.options().dtype(arithmetic_type(dy.scalar_type()));
    const at::Tensor order = at::empty({positions}, integers);
    const at::Tensor offsets = at::empty({vocabulary + 1}, integers);
    const at::Tensor plan_workspace = at::empty({kernels::embedding_plan_workspace(positions)}, integers);
    const at::Tensor gradient = at::empty({vocabulary, columns_of(dy)}, dy.options());
    const at::Tensor workspace = at::empty({kernels::embedding_gradient_workspace(positions, columns_of(dy))}, reals);
    const kernels::EmbeddingPlan plan = {.tokens = elements<std::int64_t>(tokens),
                                         .order = mutable_elements<std::int32_t>(order),
                                         .offsets = mutable_elements<std::int32_t>(offsets),
                                         .workspace = mutable_elements<std::int32_t>(plan_workspace),
                                         .invalid = nullptr,  // forward refused them
                                         .positions = positions,
                                         .vocabulary = vocabulary,
                                         .padding_index = context->saved_data["padding_index"].toInt()};
    with_kernel_form(dy.device(), [&](auto... stream) { kernels::plan_embedding_gradient(plan, stream...); });
    for_element_type(dy, [&]<typename Element>(auto... stream) {
      using Real = kernels::Arithmetic<Element>;
      kernels::embedding_gradient(
          kernels::EmbeddingGradient<Element>{.plan = plan,
                                              .dy = elements<Element>(dy),
                                              .weight_gradient = mutable_elements<Element>(gradient),
                                              .workspace = mutable_elements<Real>(workspace),
                                              .columns = columns_of(dy)},
          stream...);
    });
    return {gradient, {}, {}};
  }
};

at::Tensor embedding(const at::Tensor& weight, const at::Tensor& tokens, std::int64_t padding_idx) {
  TORCH_CHECK(weight.dim() == 2, "the table has two dimensions, not the sizes ", weight.sizes());
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  TORCH_CHECK(tokens.numel() < kMost && weight.size(0) < kMost, "2^31 tokens, or words, are too many");
  return Embedding::apply(weight, tokens, padding_idx);
}

}  // namespace

void register_embedding(torch::Library& library) {
  library.def("embedding(Tensor weight, Tensor tokens, *, int padding_idx) -> Tensor", &embedding);
}

}  // namespace lockstep
