#include "engine/objective/metrics/TopAccuracy.h"

#include <ATen/Functions.h>

namespace lockstep {

namespace {

class TopAccuracy : public Metric {
 public:
  explicit TopAccuracy(std::int64_t best) : best_(best) {}

  std::string unfit(const MeasuredBatch& batch) const override {
    if (!batch.class_labels()) return "needs class labels";
    const std::int64_t classes = batch.output().size(-1);
    if (classes >= best_) return "";
    return "needs at least " + std::to_string(best_) + " classes, not " + std::to_string(classes);
  }
  at::Tensor counts(const MeasuredBatch& batch) const override {
    return counts_of({batch.weighted_sum(hits(batch.output(), batch.targets()))});
  }
  Measurement result(const at::Tensor& counts, double weight) const override {
    return {.value = *counts.const_data_ptr<double>() / weight};
  }

 private:
  at::Tensor hits(const at::Tensor& output, const at::Tensor& targets) const {
    if (best_ == 1) return output.argmax(-1).eq(targets);
    const std::int64_t classes = output.size(-1);
    const at::Tensor label = targets.clamp(0, classes - 1).unsqueeze(-1);  // one that is ignored may be any number
    const at::Tensor own = output.gather(-1, label);
    at::Tensor better = output.eq(own).logical_and_(at::arange(classes, label.options()).gt(label));
    better.logical_or_(output.le(own).logical_not_());  // what is not a number is no hit
    return better.sum(-1).lt(best_);
  }

  std::int64_t best_;
};

}  // namespace

std::shared_ptr<const Metric> make_top_accuracy(std::int64_t best) { return std::make_shared<TopAccuracy>(best); }

}  // namespace lockstep
