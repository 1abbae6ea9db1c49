#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/objective/MeasuredBatch.h"
#include "engine/objective/MetricRegistry.h"
#include "engine/objective/losses/BinaryCrossEntropy.h"
#include "engine/objective/losses/CrossEntropy.h"
#include "engine/objective/losses/GaussianLikelihood.h"
#include "engine/objective/losses/MeanSquaredError.h"
#include "engine/objective/losses/NextToken.h"
#include "engine/objective/losses/PoissonLikelihood.h"

namespace lockstep {
namespace {

const c10::Device kCpu(c10::kCPU);

/// In one batch, and in two whose counts are merged.
Measurement measurement(const std::string& name, const Loss& loss, const at::Tensor& output, const at::Tensor& targets,
                        const at::Tensor& weights) {
  const MetricRegistry registry = built_in_metrics();
  const Metric& metric = *registry.find(name, "metrics").metric;
  std::vector<at::Tensor> counts;
  double weight = 0;
  const std::int64_t half = output.size(0) / 2;
  for (const auto& [begin, end] : {std::pair{std::int64_t{0}, half}, {half, output.size(0)}}) {
    if (begin == end) continue;
    const MeasuredBatch batch(loss, output.slice(0, begin, end), targets.slice(0, begin, end),
                              weights.defined() ? weights.slice(0, begin, end) : weights);
    EXPECT_EQ(metric.unfit(batch), "");
    counts.push_back(metric.counts(batch));
    weight += batch.loss().weight.defined() ? batch.loss().weight.item<double>()
                                            : loss.expected_weight(end - begin, output.slice(0, begin, end));
  }
  return metric.result(metric.merged(counts), weight);
}

double measured(const std::string& name, const Loss& loss, const at::Tensor& output, const at::Tensor& targets,
                const at::Tensor& weights) {
  return measurement(name, loss, output, targets, weights).value;
}

TEST(Metrics, CountWhatTheLossCountsByTheSameWeights) {
  // The best class is 0, 1, 2, 3, 4, 5; of the third, 7 is the sixth, and of the fifth, 0 the second.
  const at::Tensor logits = at::eye(6, 8, at::kDouble).mul(3);
  logits[2].copy_(at::tensor({5., 4., 6., 3., 2., 0., -1., 1.}, at::kDouble));
  logits[4][0] = 1;
  const at::Tensor labels = at::tensor({0, 1, 7, 3, 0, -100}, at::kLong);
  const auto plain = make_cross_entropy({}, kCpu);
  EXPECT_DOUBLE_EQ(measured("accuracy", *plain, logits, labels, {}), 3.0 / 5);
  EXPECT_DOUBLE_EQ(measured("top5", *plain, logits, labels, {}), 4.0 / 5);
  const double loss = at::cross_entropy_loss(logits, labels).item<double>();
  EXPECT_DOUBLE_EQ(measured("loss", *plain, logits, labels, {}), loss);
  EXPECT_DOUBLE_EQ(measured("perplexity", *plain, logits, labels, {}), std::exp(loss));
  const auto weighted = make_cross_entropy({.class_weights = {1, 2, 1, 4, 1, 1, 1, 0.5}}, kCpu);
  const at::Tensor samples = at::tensor({1., 1., 2., 0.25, 3., 9.}, at::kDouble);
  // By 1, 2, 1, 1, 3, 0.
  EXPECT_DOUBLE_EQ(measured("accuracy", *weighted, logits, labels, samples), 4.0 / 8);
  EXPECT_DOUBLE_EQ(measured("top5", *weighted, logits, labels, samples), 7.0 / 8);
}

TEST(Metrics, MeanAbsoluteErrorIsOverAllNumbers) {
  const auto squares = make_mean_squared_error();
  const at::Tensor output = at::tensor({1., 2., 3., 4.}, at::kDouble).view({2, 2});
  const at::Tensor targets = at::tensor({0., 0., 4., 8.}, at::kDouble).view({2, 2});
  EXPECT_DOUBLE_EQ(measured("mean_absolute_error", *squares, output, targets, {}), 8.0 / 4);
  EXPECT_DOUBLE_EQ(measured("mean_absolute_error", *squares, output, targets, at::tensor({3., 1.}, at::kDouble)),
                   14.0 / 8);
  EXPECT_DOUBLE_EQ(measured("mean_absolute_error", *squares, output.select(1, 0), targets.select(1, 0), {}), 1);
}

// Scores of three classes, whose largest are 0, 0, 1, 2, 1; the labels are 0, 1, 1, 2, 2.
const at::Tensor& scores() {
  static const at::Tensor all =
      at::tensor({4., 1., 0., 3., 2., 0., 0., 2., 1., 0., 1., 5., 0., 3., 1.}, at::kDouble).view({5, 3});
  return all;
}
at::Tensor labels() { return at::tensor({0, 1, 1, 2, 2}, at::kLong); }

TEST(Metrics, ScoresOfClassesAreScikitLearns) {
  const auto loss = make_cross_entropy({}, kCpu);
  const auto of = [&](const std::string& name, const at::Tensor& weights = {}) {
    return measured(name, *loss, scores(), labels(), weights);
  };
  EXPECT_DOUBLE_EQ(of("precision_macro"), (0.5 + 0.5 + 1) / 3);
  EXPECT_DOUBLE_EQ(of("recall_macro"), (1 + 0.5 + 0.5) / 3);
  EXPECT_DOUBLE_EQ(of("f1_macro"), (2.0 / 3 + 0.5 + 2.0 / 3) / 3);
  EXPECT_DOUBLE_EQ(of("dice_macro"), of("f1_macro"));
  EXPECT_DOUBLE_EQ(of("iou_macro"), (0.5 + 1.0 / 3 + 0.5) / 3);
  for (const char* name : {"precision_micro", "recall_micro", "f1_micro"}) EXPECT_DOUBLE_EQ(of(name), 0.6);
  EXPECT_DOUBLE_EQ(of("iou_micro"), 3.0 / 7);
  const Table per_class = measurement("recall_per_class", *loss, scores(), labels(), {}).table;
  EXPECT_EQ(per_class, (Table{{1, 0.5, 0.5}}));
  const Table confused = measurement("confusion_matrix", *loss, scores(), labels(), {}).table;
  EXPECT_EQ(confused, (Table{{1, 0, 0}, {1, 1, 0}, {0, 1, 1}}));
  // Only the first two count: class 2 is nowhere.
  const at::Tensor first = at::tensor({1., 3., 0., 0., 0.}, at::kDouble);
  EXPECT_DOUBLE_EQ(of("f1_macro", first), (2 * 1.0 / 5 + 0) / 2);
  EXPECT_EQ(measurement("f1_per_class", *loss, scores(), labels(), first).table, (Table{{0.4, 0, 0}}));
}

TEST(Metrics, AnswersOfYesAndNoAreTwoClassesOrALabelEach) {
  const auto loss = make_binary_cross_entropy({}, kCpu);
  const at::Tensor logits = at::tensor({2., -1., 0.5, 0., -3., 1.}, at::kDouble);  // 0 is a no
  const at::Tensor answers = at::tensor({1., 1., 0., 0., 0., 1.}, at::kDouble);
  const auto of = [&](const std::string& name) { return measured(name, *loss, logits, answers, {}); };
  EXPECT_DOUBLE_EQ(of("binary_accuracy"), 4.0 / 6);
  EXPECT_DOUBLE_EQ(of("precision"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(of("recall"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(of("iou"), 0.5);
  EXPECT_DOUBLE_EQ(of("f1_micro"), 4.0 / 6);
  EXPECT_EQ(measurement("confusion_matrix", *loss, logits, answers, {}).table, (Table{{2, 1}, {1, 2}}));
  EXPECT_DOUBLE_EQ(of("roc_auc"), 7.0 / 9);
  EXPECT_DOUBLE_EQ(of("log_loss"), at::binary_cross_entropy_with_logits(logits, answers).item<double>());
  const auto by_label = [&](const std::string& name) {
    return measurement(name, *loss, logits.view({3, 2}), answers.view({3, 2}), {});
  };
  // Of the labels: hits 1 and 1, predicted 2 and 1, true 1 and 2.
  EXPECT_EQ(by_label("precision_per_class").table, (Table{{0.5, 1}}));
  EXPECT_EQ(by_label("recall_per_class").table, (Table{{1, 0.5}}));
  EXPECT_DOUBLE_EQ(by_label("precision_micro").value, 2.0 / 3);
  EXPECT_DOUBLE_EQ(by_label("roc_auc").value, (1 + 0.5) / 2);
}

TEST(Metrics, RankingsCountTiesAsHalf) {
  const auto loss = make_binary_cross_entropy({}, kCpu);
  const at::Tensor logits = at::tensor({1., 1., 0., 0., 0.}, at::kDouble);
  const at::Tensor answers = at::tensor({1., 0., 1., 0., 0.}, at::kDouble);
  EXPECT_DOUBLE_EQ(measured("roc_auc", *loss, logits, answers, {}), (0.5 + 2 + 0 + 0.5 + 0.5) / 6);
  EXPECT_DOUBLE_EQ(measured("average_precision", *loss, logits, answers, {}), 0.5 * 0.5 + 0.5 * 0.4);
  // As if there were two of the third.
  const at::Tensor weights = at::tensor({1., 1., 2., 1., 1.}, at::kDouble);
  EXPECT_DOUBLE_EQ(measured("roc_auc", *loss, logits, answers, weights), (0.5 + 2 + 2 * (0.5 + 0.5)) / 9);
}

TEST(Metrics, SayWhyTheyAreNoNumber) {
  const auto loss = make_binary_cross_entropy({}, kCpu);
  const at::Tensor logits = at::tensor({1., 2., 3.}, at::kDouble);
  const Measurement no_positive = measurement("roc_auc", *loss, logits, at::zeros({3}, at::kDouble), {});
  EXPECT_TRUE(std::isnan(no_positive.value));
  EXPECT_EQ(no_positive.note, "it is not a number: no target is positive");
  EXPECT_EQ(measurement("roc_auc", *loss, logits, at::ones({3}, at::kDouble), {}).note,
            "it is not a number: all targets are positive");
  const Measurement precision = measurement("average_precision", *loss, logits, at::zeros({3}, at::kDouble), {});
  EXPECT_EQ(precision.value, 0);
  EXPECT_EQ(precision.note, "no target is positive, whose part is taken as 0");
  const auto squares = make_mean_squared_error();
  EXPECT_EQ(measurement("r2", *squares, logits.slice(0, 0, 1), logits.slice(0, 0, 1), {}).note,
            "it is not a number: it takes two samples");
}

TEST(Metrics, VarianceBesideALargeMeanIsNotLost) {
  const auto squares = make_mean_squared_error();
  const at::Tensor wanted = at::randn({200, 2}, at::kDouble);
  const at::Tensor output = wanted + 0.5 * at::randn({200, 2}, at::kDouble);
  const double expected = measured("r2", *squares, output, wanted, {});
  const at::Tensor spread = (wanted - wanted.mean(0)).square().sum(0);
  EXPECT_NEAR(expected, (1 - (output - wanted).square().sum(0) / spread).mean().item<double>(), 1e-13);
  const double moved = double{1 << 26};  // nothing is rounded away
  EXPECT_NEAR(measured("r2", *squares, output + moved, wanted + moved, {}), expected, 1e-7);
  const at::Tensor same = at::full({4, 1}, 3, at::kDouble);
  EXPECT_EQ(measured("r2", *squares, same, same, {}), 1);
  EXPECT_EQ(measured("r2", *squares, same + 1, same, {}), 0);
}

TEST(Metrics, RootsAreTakenOfEachNumberOfASample) {
  const auto squares = make_mean_squared_error();
  const at::Tensor errors = at::tensor({3., 0., 1., 2.}, at::kDouble).view({2, 2});
  const at::Tensor zeros = at::zeros({2, 2}, at::kDouble);
  EXPECT_DOUBLE_EQ(measured("mse", *squares, errors, zeros, {}), 14.0 / 4);
  EXPECT_DOUBLE_EQ(measured("rmse", *squares, errors, zeros, {}), (std::sqrt(5) + std::sqrt(2)) / 2);
}

// What metrics look at: a mean, a rate, the class that a soft target has most of, and what comes next.
TEST(Metrics, SeeWhatTheLossCompares) {
  const at::Tensor pairs = at::tensor({1., 0.5, 4., 0.25}, at::kDouble).view({2, 2});
  EXPECT_DOUBLE_EQ(measured("mean_absolute_error", *make_gaussian_likelihood(), pairs, at::zeros({2}, at::kDouble), {}),
                   2.5);
  const at::Tensor logs = at::tensor({0., 0.}, at::kDouble);
  EXPECT_DOUBLE_EQ(
      measured("mean_absolute_error", *make_poisson_likelihood(), logs, at::tensor({1., 3.}, at::kDouble), {}), 1);
  const auto classes = make_cross_entropy({}, kCpu);
  const at::Tensor soft = at::one_hot(labels(), 3).to(at::kDouble).mul(0.5).add(0.2);
  EXPECT_DOUBLE_EQ(measured("accuracy", *classes, scores(), soft, {}), 0.6);
  const auto next = make_next_token(classes, -100);
  const at::Tensor tokens = at::tensor({1, 2, 0, 2, 2, 1}, at::kLong).view({2, 3});
  const at::Tensor said = at::one_hot(at::tensor({2, 1, 0, 2, 1, 0}, at::kLong), 3).to(at::kDouble).view({2, 3, 3});
  EXPECT_DOUBLE_EQ(measured("accuracy", *next, said, tokens, {}), 3.0 / 4);
}

}  // namespace
}  // namespace lockstep
