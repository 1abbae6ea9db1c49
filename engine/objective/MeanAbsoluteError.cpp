#include "engine/objective/MeanAbsoluteError.h"

#include <ATen/Functions.h>

namespace lockstep {

namespace {

class MeanAbsoluteError : public Metric {
 public:
  std::string unfit(const Loss& loss, const at::Tensor& /*output*/) const override {
    return loss.class_labels() ? "needs targets that are real numbers" : "";
  }
  std::vector<at::Tensor> sums(const MeasuredBatch& batch) const override {
    const at::Tensor& output = batch.output();
    return {batch.weighted_sum(output.sub(batch.targets().view_as(output)).abs().to(at::kDouble))};
  }
  double result(std::span<const double> sums, double weight) const override { return sums[0] / weight; }
};

}  // namespace

std::shared_ptr<const Metric> make_mean_absolute_error() { return std::make_shared<MeanAbsoluteError>(); }

}  // namespace lockstep
