// strided_pointwise_conv2d(Tensor input, Tensor weight, Tensor? bias, *, int[2] stride, int groups) -> Tensor
//   conv2d with a kernel of 1×1: of the pixels that it reads, by a stride of 1.
#include <ATen/ops/conv2d.h>
#include <ATen/ops/slice.h>

#include "engine/program/MultiplyAdds.h"
#include "engine/program/OperatorTraits.h"
#include "engine/program/operators/Registration.h"

namespace lockstep {

namespace {

const OperatorRegistration kStridedPointwiseRow("lockstep.strided_pointwise_conv2d",
                                                {.sharing = Sharing::kNever,
                                                 .again = Again::kDear,
                                                 .multiply_adds = multiply_adds_of_convolution});

at::Tensor strided_pointwise_conv2d(const at::Tensor& input, const at::Tensor& weight,
                                    const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                                    std::int64_t groups) {
  TORCH_CHECK(weight.dim() == 4 && weight.size(2) == 1 && weight.size(3) == 1, "a kernel of 1×1, not ", weight.sizes());
  const at::Tensor rows = at::slice(input, -2, 0, std::nullopt, stride[0]);
  const at::Tensor pixels = at::slice(rows, -1, 0, std::nullopt, stride[1]);
  return at::conv2d(pixels, weight, bias, /*stride=*/1, /*padding=*/at::IntArrayRef(0), /*dilation=*/1, groups);
}

}  // namespace

void register_strided_pointwise_conv2d(torch::Library& library) {
  library.def(
      "strided_pointwise_conv2d(Tensor input, Tensor weight, Tensor? bias, *, int[2] stride, int groups) -> Tensor",
      &strided_pointwise_conv2d);
}

}  // namespace lockstep
