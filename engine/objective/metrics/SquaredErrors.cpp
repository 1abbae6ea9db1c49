#include "engine/objective/metrics/SquaredErrors.h"

#include <ATen/Functions.h>

namespace lockstep {

namespace {

class SquaredErrors : public Metric {
 public:
  explicit SquaredErrors(bool root) : root_(root) {}

  std::string unfit(const MeasuredBatch& batch) const override { return unfit_for_numbers(batch); }
  // Σ weight · error² and Σ weight, by number of a sample.
  at::Tensor counts(const MeasuredBatch& batch) const override {
    const at::Tensor errors = batch.output().detach().to(at::kDouble).sub(batch.targets());
    const std::int64_t samples = errors.dim() == 0 ? 1 : errors.size(0);
    const at::Tensor weights = batch.weights().reshape({samples, -1});
    return at::stack({errors.square().reshape({samples, -1}).mul(weights).sum(0), weights.sum(0)});
  }
  Measurement result(const at::Tensor& counts, double /*weight*/) const override {
    const at::Tensor counted = counts.index_select(1, counts[1].gt(0).nonzero().squeeze(1));
    const at::Tensor means = counted[0].div(counted[1]);
    return {.value = (root_ ? means.sqrt() : means).mean().item<double>()};
  }

 private:
  bool root_;
};

}  // namespace

std::string unfit_for_numbers(const MeasuredBatch& batch) {
  return batch.class_labels() || batch.binary() ? "needs targets that are real numbers" : "";
}

std::shared_ptr<const Metric> make_mse() { return std::make_shared<SquaredErrors>(false); }
std::shared_ptr<const Metric> make_rmse() { return std::make_shared<SquaredErrors>(true); }

}  // namespace lockstep
