#include "engine/objective/losses/GaussianLikelihood.h"

#include <ATen/Functions.h>

#include "common/Error.h"
#include "engine/objective/losses/ElementwiseLoss.h"

namespace lockstep {

namespace {

class GaussianLikelihood : public ElementwiseLoss {
 public:
  GaussianLikelihood() : ElementwiseLoss("gaussian_nll") {}

 protected:
  at::Tensor values(const at::Tensor& output, const at::Tensor& targets, std::int64_t reduction) const override {
    const at::Tensor given = output.select(-1, 1);
    const at::Tensor variance =
        checked(given, given.lt(0), "gaussian_nll takes variances, 0 or more, as the outputs' last number");
    // As in PyTorch the gradient is that of the variance as it is given.
    const at::Tensor raised = variance.add(variance.detach().clamp_min(1e-6).sub(variance.detach()));
    const at::Tensor error = output.select(-1, 0).sub(targets);
    const at::Tensor each = raised.log().add(error.square().div(raised)).mul(0.5);
    return reduction == at::Reduction::Sum ? each.sum() : each;
  }
  at::Tensor beside(const at::Tensor& output) const override {
    if (output.dim() >= 2 && output.size(-1) == 2) return output.select(-1, 0);
    throw InputError(
        "gaussian_nll takes outputs [batch, …, 2], a mean and a variance for each target; the program returned " +
        sizes_text(output));
  }
};

}  // namespace

std::shared_ptr<const Loss> make_gaussian_likelihood() { return std::make_shared<GaussianLikelihood>(); }

}  // namespace lockstep
