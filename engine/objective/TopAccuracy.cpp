#include "engine/objective/TopAccuracy.h"

#include <ATen/Functions.h>

#include <tuple>

namespace lockstep {

namespace {

class TopAccuracy : public Metric {
 public:
  explicit TopAccuracy(std::int64_t best) : best_(best) {}

  std::string unfit(const Loss& loss, const at::Tensor& output) const override {
    if (!loss.class_labels()) return "needs class labels";
    if (output.size(-1) >= best_) return "";
    return "needs at least " + std::to_string(best_) + " classes, not " + std::to_string(output.size(-1));
  }
  std::vector<at::Tensor> sums(const MeasuredBatch& batch) const override {
    if (best_ == 1) return {batch.weighted_sum(batch.output().argmax(-1).eq(batch.targets()))};
    const at::Tensor best = std::get<1>(batch.output().topk(best_, -1));
    return {batch.weighted_sum(best.eq(batch.targets().unsqueeze(-1)).any(-1))};
  }
  double result(std::span<const double> sums, double weight) const override { return sums[0] / weight; }

 private:
  std::int64_t best_;
};

}  // namespace

std::shared_ptr<const Metric> make_top_accuracy(std::int64_t best) { return std::make_shared<TopAccuracy>(best); }

}  // namespace lockstep
