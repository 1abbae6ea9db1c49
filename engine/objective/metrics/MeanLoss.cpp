#include "engine/objective/metrics/MeanLoss.h"

#include <ATen/Functions.h>

#include <cmath>

namespace lockstep {

namespace {

class MeanLoss : public Metric {
 public:
  explicit MeanLoss(bool perplexity) : perplexity_(perplexity) {}

  std::string unfit(const MeasuredBatch& batch) const override {
    return perplexity_ && !batch.class_labels() ? "needs class labels" : "";
  }
  bool takes_targets() const override { return false; }
  at::Tensor counts(const MeasuredBatch& batch) const override { return counts_of({batch.loss().sum}); }
  Measurement result(const at::Tensor& counts, double weight) const override {
    const double mean = *counts.const_data_ptr<double>() / weight;
    return {.value = perplexity_ ? std::exp(mean) : mean};
  }

 private:
  bool perplexity_;
};

}  // namespace

std::shared_ptr<const Metric> make_mean_loss() { return std::make_shared<MeanLoss>(false); }
std::shared_ptr<const Metric> make_perplexity() { return std::make_shared<MeanLoss>(true); }

}  // namespace lockstep
