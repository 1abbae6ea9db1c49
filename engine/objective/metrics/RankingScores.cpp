#include "engine/objective/metrics/RankingScores.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "engine/objective/metrics/Decisions.h"

namespace lockstep {

namespace {

/// What weighs how much among the positions of one score.
struct Ranked {
  double score = 0;
  double positive = 0;
  double negative = 0;
};

/// Of one class against all others: the best scores first, each once.
struct Ranking {
  std::vector<Ranked> scores{};
  double positives = 0;
  double negatives = 0;
  bool numbers = true;  ///< all scores are
};

// `signed_weights`: below 0 for what is not of the class; 0 for what does not count.
Ranking ranking_of(const at::Tensor& scores, const at::Tensor& signed_weights) {
  Ranking ranking;
  const auto score = scores.accessor<double, 1>();
  const auto weight = signed_weights.accessor<double, 1>();
  for (std::int64_t i = 0; i < scores.size(0); ++i) {
    if (weight[i] == 0) continue;
    ranking.numbers &= !std::isnan(score[i]);
    ranking.scores.push_back({score[i], std::max(weight[i], 0.0), std::max(-weight[i], 0.0)});
  }
  if (!ranking.numbers) return ranking;
  std::vector<Ranked>& ranked = ranking.scores;
  std::ranges::sort(ranked, std::greater(), &Ranked::score);
  std::size_t last = 0;
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    ranking.positives += ranked[i].positive;
    ranking.negatives += ranked[i].negative;
    if (i == 0) continue;
    if (ranked[i].score == ranked[last].score) {
      ranked[last].positive += ranked[i].positive;
      ranked[last].negative += ranked[i].negative;
    } else {
      ranked[++last] = ranked[i];
    }
  }
  ranked.resize(ranked.empty() ? 0 : last + 1);
  return ranking;
}

// The area under recall over the share of negatives, by trapezoids.
double roc_auc(const Ranking& ranking) {
  double area = 0;
  double above = 0;  // positives with larger scores
  for (const Ranked& at : ranking.scores) {
    area += at.negative * (above + at.positive / 2);
    above += at.positive;
  }
  return area / (ranking.positives * ranking.negatives);
}

// Σ of what each score adds to the recall, times the precision down to it.
double average_precision(const Ranking& ranking) {
  double sum = 0;
  double positives = 0;
  double all = 0;
  for (const Ranked& at : ranking.scores) {
    positives += at.positive;
    all += at.positive + at.negative;
    sum += at.positive * (positives / all);
  }
  return ranking.positives > 0 ? sum / ranking.positives : 0;
}

class RankingScore : public Metric {
 public:
  explicit RankingScore(bool area) : area_(area) {}

  std::string unfit(const MeasuredBatch& batch) const override { return unfit_for_decisions(batch); }

  // [positions, 2 × classes]: the scores, and behind them the weights with their signs.
  at::Tensor counts(const MeasuredBatch& batch) const override {
    const at::Tensor weights = batch.weights();
    const at::Tensor outputs = batch.output().detach().to(at::kDouble);
    if (batch.binary()) {
      const at::Tensor signs = batch.targets().ge(0.5).to(at::kDouble).mul(2).sub(1).mul(weights);
      const std::int64_t labels = several_labels(batch) ? outputs.size(1) : 1;
      return at::cat({outputs.reshape({-1, labels}), signs.reshape({-1, labels})}, 1);
    }
    const std::int64_t classes = outputs.size(-1);
    const at::Tensor truth = decisions(batch).truth.unsqueeze(1);
    const bool two = classes == 2;
    const at::Tensor scores = two ? outputs.select(-1, 1).sub(outputs.select(-1, 0)) : outputs.softmax(-1);
    const at::Tensor of = two ? at::ones({1}, truth.options()) : at::arange(classes, truth.options());
    const at::Tensor signs = truth.eq(of).to(at::kDouble).mul(2).sub(1).mul(weights.reshape({-1, 1}));
    return at::cat({scores.reshape({-1, two ? 1 : classes}), signs}, 1);
  }
  at::Tensor merged(const std::vector<at::Tensor>& counts) const override { return at::cat(counts); }
  bool keeps_rows() const override { return true; }

  Measurement result(const at::Tensor& counts, double weight) const override {
    if (!(weight > 0)) return {};
    const std::int64_t classes = counts.size(1) / 2;
    Measurement mean = {.value = 0};
    for (std::int64_t c = 0; c < classes; ++c) {
      const Ranking ranking = ranking_of(counts.select(1, c), counts.select(1, classes + c));
      const std::string name = classes == 1 ? "positive" : "of class or label " + std::to_string(c);
      if (!ranking.numbers) return {.note = "it is not a number: an output is none"};
      if (area_ && ranking.positives == 0) return {.note = "it is not a number: no target is " + name};
      if (area_ && ranking.negatives == 0) return {.note = "it is not a number: all targets are " + name};
      if (ranking.positives == 0) mean.note = "no target is " + name + ", whose part is taken as 0";
      mean.value += (area_ ? roc_auc(ranking) : average_precision(ranking)) / static_cast<double>(classes);
    }
    return mean;
  }

 private:
  bool area_;  ///< else the average precision
};

}  // namespace

std::shared_ptr<const Metric> make_roc_auc() { return std::make_shared<RankingScore>(true); }
std::shared_ptr<const Metric> make_average_precision() { return std::make_shared<RankingScore>(false); }

}  // namespace lockstep
