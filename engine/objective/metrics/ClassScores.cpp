#include "engine/objective/metrics/ClassScores.h"

#include <ATen/Functions.h>

#include <vector>

#include "engine/objective/metrics/Decisions.h"

namespace lockstep {

namespace {

/// Rows of the counts; a column a class.
enum ClassCount : std::int64_t { kHit, kPredicted, kTrue, kPresent };

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

double score_of(ClassScore score, double hit, double predicted, double truth) {
  switch (score) {
    case ClassScore::kPrecision:
      return ratio(hit, predicted);
    case ClassScore::kRecall:
      return ratio(hit, truth);
    case ClassScore::kF1:
      return ratio(2 * hit, predicted + truth);
    case ClassScore::kIou:
      break;
  }
  return ratio(hit, predicted + truth - hit);
}

at::Tensor counts_by_label(const MeasuredBatch& batch) {
  const at::Tensor weights = batch.weights();
  const at::Tensor predicted = batch.output().gt(0).mul(weights);
  const at::Tensor truth = batch.targets().ge(0.5);
  const at::Tensor hits = predicted.mul(truth).sum(0);
  return at::stack({hits, predicted.sum(0), truth.mul(weights).sum(0), at::ones_like(hits)});
}

at::Tensor counts_by_class(const Decisions& made) {
  const at::Tensor hits = made.predicted.eq(made.truth).mul(made.weights);
  const at::Tensor predicted = weights_by(made.predicted, made.weights, made.classes);
  const at::Tensor truth = weights_by(made.truth, made.weights, made.classes);
  return at::stack({weights_by(made.truth, hits, made.classes), predicted, truth, predicted.add(truth)});
}

class ClassScoreMetric : public Metric {
 public:
  ClassScoreMetric(ClassScore score, ClassAverage average) : score_(score), average_(average) {}

  std::string unfit(const MeasuredBatch& batch) const override {
    const std::string reason = unfit_for_decisions(batch);
    if (!reason.empty() || average_ != ClassAverage::kBinary) return reason;
    const bool two = !several_labels(batch) && (batch.binary() || batch.output().size(-1) == 2);
    return two ? "" : "needs two classes, or one answer of yes or no: add _micro, _macro or _per_class to its name";
  }
  at::Tensor counts(const MeasuredBatch& batch) const override {
    return several_labels(batch) ? counts_by_label(batch) : counts_by_class(decisions(batch));
  }
  bool table() const override { return average_ == ClassAverage::kPerClass; }
  Measurement result(const at::Tensor& counts, double weight) const override {
    const auto count = counts.accessor<double, 2>();
    const std::int64_t classes = counts.size(1);
    const auto of = [&](std::int64_t c) {
      return score_of(score_, count[kHit][c], count[kPredicted][c], count[kTrue][c]);
    };
    if (!(weight > 0))
      return table() ? Measurement{.table = {std::vector<double>(classes, Measurement().value)}} : Measurement();
    if (average_ == ClassAverage::kBinary) return {.value = of(1)};
    if (average_ == ClassAverage::kMicro) {
      const at::Tensor sums = counts.sum(1);
      return {.value = score_of(score_, sums[kHit].item<double>(), sums[kPredicted].item<double>(),
                                sums[kTrue].item<double>())};
    }
    std::vector<double> scores;
    for (std::int64_t c = 0; c < classes; ++c) {
      if (table() || count[kPresent][c] > 0) scores.push_back(of(c));
    }
    if (table()) return {.table = {std::move(scores)}};
    return {.value = at::tensor(scores, at::kDouble).mean().item<double>()};
  }

 private:
  ClassScore score_;
  ClassAverage average_;
};

}  // namespace

std::shared_ptr<const Metric> make_class_score(ClassScore score, ClassAverage average) {
  return std::make_shared<ClassScoreMetric>(score, average);
}

}  // namespace lockstep
