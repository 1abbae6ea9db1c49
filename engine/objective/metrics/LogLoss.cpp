#include "engine/objective/metrics/LogLoss.h"

#include <ATen/Functions.h>

#include "engine/objective/metrics/Decisions.h"

namespace lockstep {

namespace {

class LogLoss : public Metric {
 public:
  std::string unfit(const MeasuredBatch& batch) const override { return unfit_for_decisions(batch); }
  at::Tensor counts(const MeasuredBatch& batch) const override {
    const at::Tensor outputs = batch.output().detach().to(at::kDouble);
    if (batch.binary()) {
      const at::Tensor targets = batch.targets().to(at::kDouble).clamp(0, 1);  // what is ignored may be anything
      const at::Tensor each = at::binary_cross_entropy_with_logits(outputs, targets, {}, {}, at::Reduction::None);
      return counts_of({each.mul(batch.weights()).sum()});
    }
    const at::Tensor truth = decisions(batch).truth.view_as(batch.targets()).unsqueeze(-1);
    const at::Tensor each = outputs.log_softmax(-1).gather(-1, truth).squeeze(-1);
    return counts_of({each.mul(batch.weights()).sum().neg()});
  }
  Measurement result(const at::Tensor& counts, double weight) const override {
    return {.value = *counts.const_data_ptr<double>() / weight};
  }
};

}  // namespace

std::shared_ptr<const Metric> make_log_loss() { return std::make_shared<LogLoss>(); }

}  // namespace lockstep
