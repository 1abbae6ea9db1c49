#include "engine/objective/Objective.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <optional>

#include "common/Error.h"
#include "engine/objective/Evaluation.h"
#include "engine/objective/MeasuredBatch.h"
#include "engine/objective/losses/MeanSquaredError.h"
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
  EXPECT_EQ(names_of(make_objective({}, kCpu)), (Names{"loss", "accuracy", "top5", "binary_accuracy"}));
  EXPECT_EQ(names_of(make_objective({.monitor = {.metric = "perplexity"}, .metrics = {"top5"}}, kCpu)),
            (Names{"loss", "accuracy", "top5", "binary_accuracy", "perplexity"}));
  EXPECT_EQ(names_of(make_objective({.monitor = {.metric = "top12", .maximize = true}, .metrics = {"top3"}}, kCpu)),
            (Names{"loss", "accuracy", "top5", "binary_accuracy", "top3", "top12"}));
  for (const char* none : {"top", "top0", "top03", "top3x", "topmost", "top12345678901234567890"})
    EXPECT_ERROR(make_objective({.metrics = {none}}, kCpu), InputError, "hyperparameter metrics: expected loss", none);
  EXPECT_TRUE(make_objective({}, kCpu).loss().class_labels());
  EXPECT_FALSE(make_objective({.loss = "mse"}, kCpu).loss().class_labels());
}

TEST(Objective, RefusesNamesThatNobodyRegistered) {
  EXPECT_ERROR(make_objective({.loss = "mean"}, kCpu), InputError, "hyperparameter loss", "cross_entropy, mse",
               "\"mean\"");
  EXPECT_ERROR(make_objective({.monitor = {.metric = "acuracy"}}, kCpu), InputError, "hyperparameter monitor",
               "did you mean accuracy?");
  EXPECT_ERROR(make_objective({.metrics = {"f2"}}, kCpu), InputError, "hyperparameter metrics", "mean_absolute_error");
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

TEST(Objective, LossesTakeTheirOptions) {
  const at::Tensor pairs = at::randn({5, 2, 3}, at::kDouble);
  const at::Tensor targets = at::randn({5, 2, 3}, at::kDouble);
  const at::Tensor together = at::full({5}, -1, at::kDouble);
  const auto sum = [&](const Hyperparameters& options) {
    const at::Tensor& wanted = options.loss == "cosine_embedding" ? together : targets;
    return make_objective(options, kCpu).loss().terms(pairs, wanted, {}).sum.item<double>();
  };
  for (const std::string name : {"info_nce", "symmetric_info_nce"}) {
    const at::Tensor hotter = pairs.clone();
    hotter.select(1, 1).div_(0.25);
    const double wanted = make_objective({.loss = name}, kCpu).loss().terms(hotter, {}, {}).sum.item<double>();
    EXPECT_NEAR(sum({.loss = name, .info_nce_temperature = 0.25}), wanted, 1e-12) << name;
  }
  EXPECT_NEAR(sum({.loss = "huber", .huber_delta = 0.1}),
              at::huber_loss(pairs, targets, at::Reduction::Sum, 0.1).item<double>(), 1e-12);
  EXPECT_NEAR(sum({.loss = "cosine_embedding", .cosine_margin = -0.9}),
              at::cosine_embedding_loss(pairs.select(1, 0), pairs.select(1, 1), together, -0.9, at::Reduction::Sum)
                  .item<double>(),
              1e-12);
}

// Help, which links no engine, names them.
TEST(Objective, WhatIsBuiltInIsWhatHelpLists) {
  EXPECT_EQ(built_in_losses().names(), builtin_loss_names());
  EXPECT_EQ(built_in_metrics().names(), builtin_metric_names());
}

// What is measured by default is left out where it does not fit; what somebody asked for is not.
TEST(Objective, RefusesToMeasureWhatDoesNotFit) {
  const at::Tensor four = at::zeros({2, 4});
  const auto require = [&](const Hyperparameters& options, const at::Tensor& targets, std::int64_t samples = 2) {
    const Objective objective = make_objective(options, kCpu);
    objective.require_measurable(MeasuredBatch(objective.loss(), four, targets, {}), samples);
  };
  const at::Tensor labels = at::zeros({2}, at::kLong);
  require({}, labels);
  require({.loss = "mse"}, four);
  const auto refused = [&](const Hyperparameters& options, const std::string& text) {
    EXPECT_ERROR(require(options, options.loss == "cross_entropy" ? labels : four), InputError, text);
  };
  refused({.monitor = {.metric = "top5", .maximize = true}}, "monitor=top5 needs at least 5 classes, not 4");
  require({.metrics = {"top4"}}, labels);
  refused({.metrics = {"mean_absolute_error"}}, "metrics=mean_absolute_error needs targets that are real numbers");
  refused({.loss = "mse", .metrics = {"accuracy"}}, "metrics=accuracy needs class labels");
  refused({.loss = "mse", .monitor = {.metric = "accuracy", .maximize = true}}, "monitor=accuracy needs class labels");
  refused({.loss = "mse", .metrics = {"perplexity"}}, "metrics=perplexity needs class labels");
  refused({.loss = "mse", .metrics = {"roc_auc"}}, "metrics=roc_auc needs class labels, or targets of yes or no");
  refused({.metrics = {"f1"}}, "metrics=f1 needs two classes, or one answer of yes or no: add _micro, _macro");
  refused({.loss = "binary_cross_entropy", .metrics = {"f1"}}, "metrics=f1 needs two classes");
  refused({.loss = "binary_cross_entropy", .metrics = {"confusion_matrix"}}, "not several answers");
  refused({.loss = "binary_cross_entropy", .metrics = {"r2"}}, "metrics=r2 needs targets that are real numbers");
  // Eight numbers a sample stay in memory.
  require({.metrics = {"roc_auc"}}, labels, Objective::kMostRowNumbers / 8);
  EXPECT_ERROR(require({.metrics = {"roc_auc"}}, labels, Objective::kMostRowNumbers / 8 + 1), InputError,
               "metrics=roc_auc keeps 8 numbers of each sample", "at most 67,108,864", "there are 8,388,609 samples");
  EXPECT_ERROR(make_objective({.monitor = {.metric = "f1_per_class", .maximize = true}}, kCpu), InputError,
               "monitor=f1_per_class is no number but a table");
}

TEST(Objective, DoubtsAMonitorThatLooksForTheWorst) {
  EXPECT_EQ(make_objective({}, kCpu).doubt({.metric = "loss", .maximize = false}), "");
  EXPECT_EQ(make_objective({}, kCpu).doubt({.metric = "accuracy", .maximize = true}), "");
  EXPECT_EQ(make_objective({}, kCpu).doubt({.metric = "accuracy", .maximize = false}),
            "monitor=accuracy:min looks for the worst state: more of it is better");
  EXPECT_EQ(make_objective({}, kCpu).doubt({.metric = "loss", .maximize = true}),
            "monitor=loss:max looks for the worst state: less of it is better");
}

// Returned by a program as output_0, or by the names of a dictionary.
TEST(Objective, SeesTheOutputThatIsMeant) {
  const auto seen = [](const std::vector<std::string>& names, const std::string& asked, const char* loss) {
    Objective objective = make_objective({.loss = loss, .output = asked}, kCpu);
    objective.see(names);
    return objective.seen();
  };
  EXPECT_EQ(seen({"output_0"}, "", "mse").output, 0);
  EXPECT_EQ(seen({"loss", "logits"}, "", "mse").output, 1);
  EXPECT_EQ(seen({"loss", "logits", "a.0"}, "a.0", "mse").output, 2);
  EXPECT_EQ(seen({"output_0", "output_1"}, "", "mse").output, 0);
  EXPECT_FALSE(seen({"output_0", "output_1"}, "", "mse").named);
  EXPECT_ERROR(seen({"loss", "logits"}, "logit", "mse"), InputError, "output=logit", "loss, logits");
  SeenOutputs own = seen({"logits", "weight", "loss"}, "", "program");
  EXPECT_EQ(own.output, 2);
  EXPECT_EQ(own.weight, 1);
  EXPECT_TRUE(own.named);
  own = seen({"output_0", "output_1"}, "", "program");
  EXPECT_EQ(own.output, 0);
  EXPECT_EQ(own.weight, std::nullopt);
  EXPECT_FALSE(own.named);
  EXPECT_EQ(seen({"loss", "other"}, "other", "program").output, 1);
}

// Five samples in parts of three and two: the parts add up to the whole where the program says what its loss is of.
TEST(ProgramLoss, IsExactForAnySplitWhereItHasAWeightOrALossForEachSample) {
  Objective objective = make_objective({.loss = "program"}, kCpu);
  EXPECT_FALSE(objective.loss().takes_targets());
  const at::Tensor losses = at::tensor({1., 2., 4., 8., 16.}, at::kDouble);
  const at::Tensor weights = at::tensor({2., 0., 1., 1., 4.}, at::kDouble);
  const auto mean = [&](const std::function<std::vector<at::Tensor>(const at::Tensor&, const at::Tensor&)>& outputs) {
    double sum = 0;
    double weight = 0;
    for (const auto& [from, to] : {std::pair(0, 3), std::pair(3, 5)}) {
      const MeasuredBatch part =
          objective.measure(outputs(losses.slice(0, from, to), weights.slice(0, from, to)), {}, {}, to - from);
      sum += part.loss().sum.item<double>();
      weight += part.loss().weight.defined() ? part.loss().weight.item<double>()
                                             : objective.loss().expected_weight(to - from, part.output());
    }
    return sum / weight;
  };
  using Tensors = std::vector<at::Tensor>;
  objective.see({"loss"});
  EXPECT_DOUBLE_EQ(mean([](const at::Tensor& l, const at::Tensor&) { return Tensors{l}; }), 31.0 / 5);
  EXPECT_DOUBLE_EQ(mean([](const at::Tensor& l, const at::Tensor&) { return Tensors{l.mean()}; }), 31.0 / 5);
  EXPECT_DOUBLE_EQ(mean([](const at::Tensor& l, const at::Tensor&) {
                     return Tensors{l.view({-1, 1}).expand({-1, 3})};
                   }),
                   31.0 / 5);
  objective.see({"loss", "weight"});
  const double wanted = (losses * weights).sum().item<double>() / 8;
  EXPECT_DOUBLE_EQ(mean([](const at::Tensor& l, const at::Tensor& w) { return Tensors{l, w}; }), wanted);
  EXPECT_DOUBLE_EQ(mean([](const at::Tensor& l, const at::Tensor& w) {
                     return Tensors{(l * w).sum() / w.sum(), w.sum().to(at::kLong)};
                   }),
                   wanted);
  // A mean without a weight counts each sample alike, whatever the program has counted.
  objective.see({"loss"});
  EXPECT_DOUBLE_EQ(mean([](const at::Tensor& l, const at::Tensor& w) { return Tensors{(l * w).sum() / w.sum()}; }),
                   (3 * (2 + 4) / 3.0 + 2 * (8 + 64) / 5.0) / 5);
}

TEST(ProgramLoss, ItsWeightHasNoGradientAndItsHalvesAreSummedInFloat32) {
  Objective objective = make_objective({.loss = "program"}, kCpu);
  objective.see({"loss", "weight"});
  const at::Tensor loss = at::tensor({0.5, 0.25}).requires_grad_();
  const at::Tensor weight = at::tensor({3., 5.}).requires_grad_();
  objective.measure({loss.to(at::kBFloat16), weight}, {}, {}, 2).loss().sum.backward();
  EXPECT_TRUE(at::equal(loss.grad(), weight.detach()));
  EXPECT_FALSE(weight.grad().defined());
  EXPECT_EQ(objective.measure({loss.to(at::kHalf), weight}, {}, {}, 2).loss().sum.scalar_type(), at::kFloat);
}

TEST(ProgramLoss, ThatIsAMeanOverNothingCountsForNothing) {
  Objective objective = make_objective({.loss = "program"}, kCpu);
  objective.see({"loss", "weight"});
  const at::Tensor nan = at::full({}, std::nan(""));
  EXPECT_EQ(objective.measure({nan, at::zeros({}, at::kLong)}, {}, {}, 2).loss().sum.item<double>(), 0);
  EXPECT_EQ(
      objective.measure({at::stack({nan, at::ones({})}), at::tensor({0., 2.})}, {}, {}, 2).loss().sum.item<double>(),
      2);
  EXPECT_TRUE(std::isnan(objective.measure({nan, at::ones({})}, {}, {}, 2).loss().sum.item<double>()));
}

TEST(ProgramLoss, RefusesWhatIsNoLoss) {
  Objective objective = make_objective({.loss = "program"}, kCpu);
  objective.see({"output_0"});
  EXPECT_ERROR(objective.measure({at::zeros({4, 10})}, {}, {}, 4), InputError, "[4, 10]", "the key loss");
  objective.see({"loss"});
  EXPECT_ERROR(objective.measure({at::zeros({}, at::kLong)}, {}, {}, 4), InputError, "real numbers", "output=NAME");
  objective.see({"loss", "weight"});
  EXPECT_ERROR(objective.measure({at::zeros({4}), at::zeros({})}, {}, {}, 4), InputError, "[4]", "the weight []");
  objective.see({"loss"});
  EXPECT_ERROR(objective.measure({at::zeros({1})}, {}, {}, 4), InputError, "one number", "[1]", "4 samples");
  EXPECT_ERROR(objective.measure({at::zeros({12})}, {}, {}, 4), InputError, "one number", "[12]", "4 samples");
  objective.require_measurable(objective.measure({at::zeros({})}, {}, {}, 4), 4);
  Objective compares = make_objective({.loss = "program", .metrics = {"mean_absolute_error"}}, kCpu);
  compares.see({"loss"});
  EXPECT_ERROR(compares.require_measurable(compares.measure({at::zeros({})}, {}, {}, 4), 4), InputError,
               "metrics=mean_absolute_error", "needs targets");
}

TEST(Evaluation, KeepsItsOrderAndNamesWhatThereIs) {
  const Evaluation evaluation({{"loss", 0.5}, {"accuracy", 0.75}});
  EXPECT_EQ(evaluation.metric("accuracy"), 0.75);
  EXPECT_ERROR(evaluation.metric("top5"), InputError, "top5", "there are loss, accuracy");
  EXPECT_EQ(evaluation.metrics("test"), (Evaluation::Values{{"test_loss", 0.5}, {"test_accuracy", 0.75}}));
}

}  // namespace
}  // namespace lockstep
