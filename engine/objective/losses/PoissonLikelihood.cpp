#include "engine/objective/losses/PoissonLikelihood.h"

#include <ATen/Functions.h>

#include <limits>
#include <optional>

#include "engine/objective/losses/ElementwiseLoss.h"

namespace lockstep {

namespace {

constexpr const char* kCounts = "poisson_nll takes targets that are counts, 0 or more";

class PoissonLikelihood : public ElementwiseLoss {
 public:
  PoissonLikelihood() : ElementwiseLoss("poisson_nll") {}

  std::optional<TargetRange> target_range() const override {
    return TargetRange{.most = std::numeric_limits<double>::infinity(), .expected = kCounts};
  }

 protected:
  at::Tensor values(const at::Tensor& output, const at::Tensor& targets, std::int64_t reduction) const override {
    const at::Tensor rates = checked(targets, targets.lt(0), kCounts);
    return at::poisson_nll_loss(output, rates, /*log_input=*/true, /*full=*/false, /*eps=*/1e-8, reduction);
  }
  at::Tensor predicted(const at::Tensor& output) const override { return output.exp(); }
};

}  // namespace

std::shared_ptr<const Loss> make_poisson_likelihood() { return std::make_shared<PoissonLikelihood>(); }

}  // namespace lockstep
