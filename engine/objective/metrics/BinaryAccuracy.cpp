#include "engine/objective/metrics/BinaryAccuracy.h"

#include <ATen/Functions.h>

#include "engine/objective/metrics/Decisions.h"

namespace lockstep {

namespace {

class BinaryAccuracy : public Metric {
 public:
  std::string unfit(const MeasuredBatch& batch) const override {
    return batch.binary() ? "" : "needs targets of yes or no";
  }
  at::Tensor counts(const MeasuredBatch& batch) const override {
    const Decisions made = decisions(batch);
    return counts_of({made.predicted.eq(made.truth).mul(made.weights).sum()});
  }
  Measurement result(const at::Tensor& counts, double weight) const override {
    return {.value = *counts.const_data_ptr<double>() / weight};
  }
};

}  // namespace

std::shared_ptr<const Metric> make_binary_accuracy() { return std::make_shared<BinaryAccuracy>(); }

}  // namespace lockstep
