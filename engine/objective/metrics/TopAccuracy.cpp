#include "engine/objective/metrics/TopAccuracy.h"

#include <ATen/Functions.h>

#include <tuple>

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
    return std::get<1>(output.topk(best_, -1)).eq(targets.unsqueeze(-1)).any(-1);
  }

  std::int64_t best_;
};

}  // namespace

std::shared_ptr<const Metric> make_top_accuracy(std::int64_t best) { return std::make_shared<TopAccuracy>(best); }

}  // namespace lockstep
