#include "engine/objective/metrics/MeanAbsoluteError.h"

#include <ATen/Functions.h>

#include "engine/objective/metrics/SquaredErrors.h"

namespace lockstep {

namespace {

class MeanAbsoluteError : public Metric {
 public:
  std::string unfit(const MeasuredBatch& batch) const override { return unfit_for_numbers(batch); }
  at::Tensor counts(const MeasuredBatch& batch) const override {
    return counts_of({batch.weighted_sum(batch.output().sub(batch.targets()).abs().to(at::kDouble))});
  }
  Measurement result(const at::Tensor& counts, double weight) const override {
    return {.value = *counts.const_data_ptr<double>() / weight};
  }
};

}  // namespace

std::shared_ptr<const Metric> make_mean_absolute_error() { return std::make_shared<MeanAbsoluteError>(); }

}  // namespace lockstep
