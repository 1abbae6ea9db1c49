#include "engine/objective/Objective.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/Error.h"
#include "engine/objective/CrossEntropy.h"
#include "engine/objective/Evaluation.h"
#include "engine/objective/MeanSquaredError.h"
#include "engine/objective/MeasuredBatch.h"
#include "job/BuiltinNames.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

const c10::Device kCpu(c10::kCPU);

std::vector<std::string> names_of(const Objective& objective) {
  std::vector<std::string> names;
  for (const auto& chosen : objective.metrics()) names.push_back(chosen.name);
  return names;
}

TEST(Objective, MeasuresTheUsualMetricsThenThoseAskedFor) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_of(make_objective({}, kCpu)), (Names{"loss", "accuracy", "top5"}));
  EXPECT_EQ(names_of(make_objective({.monitor = {.metric = "perplexity"}, .metrics = {"top5"}}, kCpu)),
            (Names{"loss", "accuracy", "top5", "perplexity"}));
  EXPECT_TRUE(make_objective({}, kCpu).loss().class_labels());
  EXPECT_FALSE(make_objective({.loss = "mse"}, kCpu).loss().class_labels());
}

TEST(Objective, RefusesNamesThatNobodyRegistered) {
  EXPECT_ERROR(make_objective({.loss = "mean"}, kCpu), InputError, "hyperparameter loss", "cross_entropy, mse",
               "\"mean\"");
  EXPECT_ERROR(make_objective({.monitor = {.metric = "acuracy"}}, kCpu), InputError, "hyperparameter monitor",
               "did you mean accuracy?");
  EXPECT_ERROR(make_objective({.metrics = {"f1"}}, kCpu), InputError, "hyperparameter metrics", "mean_absolute_error");
  LossRegistry losses = built_in_losses();
  EXPECT_ERROR(losses.add({.name = "mse", .make = {}}), InternalError, "\"mse\" is registered twice");
}

// Else they would do nothing, and nobody would say so.
TEST(Objective, RefusesWhatOnlyOtherLossesRead) {
  const std::vector<Hyperparameters> given = {{.label_smoothing = 0.1}, {.ignore_index = 3}, {.class_weights = {1, 2}}};
  const std::vector<std::string> names = {"label_smoothing", "ignore_index", "class_weights"};
  LossRegistry losses = built_in_losses();
  losses.add({.name = "squares",
              .make = [](const Hyperparameters&, const c10::Device&) { return make_mean_squared_error(); },
              .reads = {"ignore_index"}});
  for (std::size_t i = 0; i < given.size(); ++i) {
    Hyperparameters options = given[i];
    make_objective(options, kCpu);
    options.loss = "mse";
    EXPECT_ERROR(make_objective(options, kCpu), InputError, "hyperparameter " + names[i] + " does nothing in this job",
                 "loss=mse does not use it");
    options.loss = "squares";
    if (names[i] == "ignore_index") {
      make_objective(options, kCpu, losses);
    } else {
      EXPECT_ERROR(make_objective(options, kCpu, losses), InputError, names[i], "loss=squares does not use it");
    }
  }
}

// Help, which links no engine, names them.
TEST(Objective, WhatIsBuiltInIsWhatHelpLists) {
  EXPECT_EQ(built_in_losses().names(), builtin_loss_names());
  EXPECT_EQ(built_in_metrics().names(), builtin_metric_names());
}

// What is measured by default is left out where it does not fit; what somebody asked for is not.
TEST(Objective, RefusesToMeasureWhatDoesNotFit) {
  const at::Tensor four = at::zeros({2, 4});
  make_objective({}, kCpu).require_measurable(four);
  make_objective({.loss = "mse"}, kCpu).require_measurable(four);
  const auto refused = [&](const Hyperparameters& options, const std::string& text) {
    EXPECT_ERROR(make_objective(options, kCpu).require_measurable(four), InputError, text);
  };
  refused({.monitor = {.metric = "top5", .maximize = true}}, "monitor=top5 needs at least 5 classes, not 4");
  refused({.metrics = {"mean_absolute_error"}}, "metrics=mean_absolute_error needs targets that are real numbers");
  refused({.loss = "mse", .metrics = {"accuracy"}}, "metrics=accuracy needs class labels");
  refused({.loss = "mse", .monitor = {.metric = "accuracy", .maximize = true}}, "monitor=accuracy needs class labels");
  refused({.loss = "mse", .metrics = {"perplexity"}}, "metrics=perplexity needs class labels");
}

TEST(Objective, DoubtsAMonitorThatLooksForTheWorst) {
  EXPECT_EQ(make_objective({}, kCpu).doubt({.metric = "loss", .maximize = false}), "");
  EXPECT_EQ(make_objective({}, kCpu).doubt({.metric = "accuracy", .maximize = true}), "");
  EXPECT_EQ(make_objective({}, kCpu).doubt({.metric = "accuracy", .maximize = false}),
            "monitor=accuracy:min looks for the worst state: more of it is better");
  EXPECT_EQ(make_objective({}, kCpu).doubt({.metric = "loss", .maximize = true}),
            "monitor=loss:max looks for the worst state: less of it is better");
}

double measured(const std::string& name, const Loss& loss, const at::Tensor& output, const at::Tensor& targets,
                const at::Tensor& weights) {
  const MeasuredBatch batch(loss, output, targets, weights);
  const MetricRegistry registry = built_in_metrics();
  const Metric& metric = *registry.find(name, "metrics").metric;
  EXPECT_EQ(metric.unfit(loss, output), "");
  std::vector<double> sums;
  for (const at::Tensor& sum : metric.sums(batch)) sums.push_back(sum.to(at::kDouble).item<double>());
  EXPECT_EQ(sums.size(), metric.sum_count());
  const double weight =
      batch.loss().weight.defined() ? batch.loss().weight.item<double>() : loss.expected_weight(output.size(0), output);
  return metric.result(sums, weight);
}

TEST(Metrics, CountWhatTheLossCountsByTheSameWeights) {
  // The best class is 0, 1, 2, 3, 4, 5; of the third, 7 is the sixth.
  const at::Tensor logits = at::eye(6, 8, at::kDouble).mul(3);
  logits[2].copy_(at::tensor({5., 4., 6., 3., 2., 0., -1., 1.}, at::kDouble));
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

TEST(Evaluation, KeepsItsOrderAndNamesWhatThereIs) {
  const Evaluation evaluation({{"loss", 0.5}, {"accuracy", 0.75}});
  EXPECT_EQ(evaluation.metric("accuracy"), 0.75);
  EXPECT_ERROR(evaluation.metric("top5"), InputError, "top5", "there are loss, accuracy");
  EXPECT_EQ(evaluation.metrics("test"), (Evaluation::Values{{"test_loss", 0.5}, {"test_accuracy", 0.75}}));
}

}  // namespace
}  // namespace lockstep
