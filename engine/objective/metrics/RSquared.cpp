#include "engine/objective/metrics/RSquared.h"

#include <ATen/Functions.h>

#include "engine/objective/metrics/SquaredErrors.h"

namespace lockstep {

namespace {

/// Rows of the counts; a column for each number of a sample.
enum Moment : std::int64_t { kWeight, kMean, kSpread, kErrors, kSamples };

class RSquared : public Metric {
 public:
  std::string unfit(const MeasuredBatch& batch) const override { return unfit_for_numbers(batch); }

  at::Tensor counts(const MeasuredBatch& batch) const override {
    const std::int64_t samples = batch.targets().dim() == 0 ? 1 : batch.targets().size(0);
    const at::Tensor targets = batch.targets().to(at::kDouble).reshape({samples, -1});
    const at::Tensor weights = batch.weights().reshape({samples, -1});
    const at::Tensor errors = batch.output().detach().to(at::kDouble).reshape({samples, -1}).sub(targets);
    const at::Tensor weight = weights.sum(0);
    const at::Tensor mean = targets.mul(weights).sum(0).div(weight.clamp_min(kSmallest));
    return at::stack({weight, mean, targets.sub(mean).square().mul(weights).sum(0), errors.square().mul(weights).sum(0),
                      weights.gt(0).to(at::kDouble).sum(0)});
  }
  // Spreads about means of their own (Chan, Golub and LeVeque 1979): sums of squares would lose small ones beside a
  // large mean.
  at::Tensor merged(const std::vector<at::Tensor>& counts) const override {
    const at::Tensor parts = at::stack(counts);
    const at::Tensor weights = parts.select(1, kWeight);
    const at::Tensor weight = weights.sum(0);
    const at::Tensor means = parts.select(1, kMean);
    const at::Tensor mean = means.mul(weights).sum(0).div(weight.clamp_min(kSmallest));
    const at::Tensor between = means.sub(mean).square().mul(weights).sum(0);
    return at::stack({weight, mean, parts.select(1, kSpread).sum(0).add(between), parts.select(1, kErrors).sum(0),
                      parts.select(1, kSamples).sum(0)});
  }
  Measurement result(const at::Tensor& counts, double weight) const override {
    if (!(weight > 0)) return {};
    const at::Tensor counted = counts.index_select(1, counts[kWeight].gt(0).nonzero().squeeze(1));
    if (counted[kSamples].min().item<double>() < 2) return {.note = "it is not a number: it takes two samples"};
    const at::Tensor spread = counted[kSpread];
    const at::Tensor errors = counted[kErrors];
    const at::Tensor constant = errors.eq(0).to(at::kDouble);
    const at::Tensor each = at::where(spread.gt(0), errors.div(spread).neg().add(1), constant);
    return {.value = each.mean().item<double>()};
  }

 private:
  static constexpr double kSmallest = 1e-300;  // instead of a weight of 0, where the sum above is 0, too
};

}  // namespace

std::shared_ptr<const Metric> make_r_squared() { return std::make_shared<RSquared>(); }

}  // namespace lockstep
