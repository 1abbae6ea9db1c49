#include "engine/objective/MeanLoss.h"

#include <cmath>

namespace lockstep {

namespace {

class MeanLoss : public Metric {
 public:
  explicit MeanLoss(bool perplexity) : perplexity_(perplexity) {}

  std::string unfit(const Loss& loss, const at::Tensor& /*output*/) const override {
    return perplexity_ && !loss.class_labels() ? "needs class labels" : "";
  }
  std::vector<at::Tensor> sums(const MeasuredBatch& batch) const override { return {batch.loss().sum}; }
  double result(std::span<const double> sums, double weight) const override {
    const double mean = sums[0] / weight;
    return perplexity_ ? std::exp(mean) : mean;
  }

 private:
  bool perplexity_;
};

}  // namespace

std::shared_ptr<const Metric> make_mean_loss() { return std::make_shared<MeanLoss>(false); }
std::shared_ptr<const Metric> make_perplexity() { return std::make_shared<MeanLoss>(true); }

}  // namespace lockstep
