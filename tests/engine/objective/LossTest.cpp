#include "engine/objective/Loss.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/objective/losses/AbsoluteError.h"
#include "engine/objective/losses/BinaryCrossEntropy.h"
#include "engine/objective/losses/CosineEmbedding.h"
#include "engine/objective/losses/CrossEntropy.h"
#include "engine/objective/losses/GaussianLikelihood.h"
#include "engine/objective/losses/Huber.h"
#include "engine/objective/losses/InfoNce.h"
#include "engine/objective/losses/MeanSquaredError.h"
#include "engine/objective/losses/NextToken.h"
#include "engine/objective/losses/PoissonLikelihood.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

std::shared_ptr<const Loss> cross_entropy(const CrossEntropyOptions& options = {}) {
  return make_cross_entropy(options, c10::Device(c10::kCPU));
}

// Σ sum ÷ Σ weight of the parts of a batch that is cut after `cut` samples.
at::Tensor mean(const Loss& loss, const at::Tensor& output, const at::Tensor& targets, const at::Tensor& weights,
                std::int64_t cut) {
  at::Tensor sum = at::zeros({}, at::kDouble);
  at::Tensor weight = at::zeros({}, at::kDouble);
  for (const auto& [begin, end] : {std::pair{std::int64_t{0}, cut}, {cut, output.size(0)}}) {
    const at::Tensor part = output.slice(0, begin, end);
    const LossTerms terms =
        loss.terms(part, targets.slice(0, begin, end), weights.defined() ? weights.slice(0, begin, end) : at::Tensor());
    sum = sum.add(terms.sum);
    weight = weight.add(terms.weight.defined() ? terms.weight
                                               : at::full({}, loss.expected_weight(end - begin, part), at::kDouble));
  }
  return sum.div(weight);
}

TEST(Loss, PartsAddUpToTheMeanOfTheWhole) {
  const at::Tensor logits = at::randn({7, 4}, at::kDouble);
  const at::Tensor labels = at::randint(0, 4, {7}, at::kLong);
  const at::Tensor values = at::randn({7, 4}, at::kDouble);
  EXPECT_NEAR(mean(*cross_entropy(), logits, labels, {}, 3).item<double>(),
              at::cross_entropy_loss(logits, labels).item<double>(), 1e-14);
  EXPECT_NEAR(mean(*make_mean_squared_error(), logits, values, {}, 3).item<double>(),
              at::mse_loss(logits, values).item<double>(), 1e-14);
}

TEST(Loss, EveryPositionOfASequenceIsClassified) {
  const at::Tensor logits = at::randn({4, 3, 2, 5}, at::kDouble).transpose(1, 2).requires_grad_();
  const at::Tensor labels = at::randint(0, 5, {4, 2, 3}, at::kLong);
  const auto loss = cross_entropy({.label_smoothing = 0.1});
  EXPECT_EQ(loss->expected_weight(4, logits), 24);
  const at::Tensor wanted = at::cross_entropy_loss(logits.reshape({24, 5}), labels.reshape({24}), {}, 1, -100, 0.1);
  const at::Tensor ours = mean(*loss, logits, labels, {}, 1);
  EXPECT_NEAR(ours.item<double>(), wanted.item<double>(), 1e-14);
  const auto gradient = [&](const at::Tensor& of) { return torch::autograd::grad({of}, {logits}).at(0); };
  EXPECT_LT((gradient(ours) - gradient(wanted)).abs().max().item<double>(), 1e-15);
}

// With classes, ignored labels and samples of different weights, alone and together: PyTorch's reduction='mean', where
// it knows of them, and the mean of its losses by their weights.
TEST(Loss, WeighsAsPyTorchDoes) {
  const at::Tensor logits = at::randn({6, 3, 5}, at::kDouble);
  const at::Tensor labels = at::randint(0, 5, {6, 3}, at::kLong);
  labels[2] = 4;
  const std::vector<double> classes = {0.5, 2, 0, 1.25, 3};
  const at::Tensor samples = at::rand({6}, at::kDouble);
  const auto flat = [&](const at::Tensor& classes, std::int64_t ignored, std::int64_t reduction) {
    return at::cross_entropy_loss(logits.flatten(0, 1), labels.flatten(), classes, reduction, ignored, 0.1);
  };
  for (const std::int64_t ignored : {-100, 4}) {
    for (const bool weighted : {false, true}) {
      const auto loss = cross_entropy({.label_smoothing = 0.1,
                                       .ignore_index = ignored,
                                       .class_weights = weighted ? classes : std::vector<double>()});
      const at::Tensor w = weighted ? at::tensor(classes, at::kDouble) : at::Tensor();
      EXPECT_NEAR(mean(*loss, logits, labels, {}, 2).item<double>(),
                  flat(w, ignored, at::Reduction::Mean).item<double>(), 1e-14);
      const at::Tensor each = flat(w, ignored, at::Reduction::None).view({6, 3}).mul(samples.unsqueeze(1));
      const at::Tensor counts = loss->compared(logits, labels, samples).weights.to(at::kDouble);
      const at::Tensor own =
          (weighted ? w.index_select(0, labels.flatten()).view({6, 3}) : at::ones({6, 3}, at::kDouble))
              .mul(labels.ne(ignored))
              .mul(samples.unsqueeze(1));
      EXPECT_LT((counts - own).abs().max().item<double>(), 1e-15);
      EXPECT_NEAR(mean(*loss, logits, labels, samples, 2).item<double>(), each.sum().div(own.sum()).item<double>(),
                  1e-14);
    }
  }
  const at::Tensor numbers = at::randn({6, 3, 5}, at::kDouble);
  const auto squares = make_mean_squared_error();
  EXPECT_NEAR(mean(*squares, logits, numbers, samples, 2).item<double>(),
              (logits - numbers).square().mul(samples.view({6, 1, 1})).sum().div(samples.sum() * 15).item<double>(),
              1e-14);
}

// A weight for each position, and one for each sample where an output is one number.
TEST(Loss, WeightsHaveTheSizesOfSamplesOrOfPositions) {
  const at::Tensor logits = at::randn({2, 3, 5}, at::kDouble);
  const at::Tensor labels = at::randint(0, 5, {2, 3}, at::kLong);
  const at::Tensor mask = at::tensor({1., 0., 1., 0., 0., 1.}, at::kDouble).view({2, 3});
  const at::Tensor each = at::cross_entropy_loss(logits.flatten(0, 1), labels.flatten(), {}, at::Reduction::None);
  EXPECT_NEAR(mean(*cross_entropy(), logits, labels, mask, 1).item<double>(),
              each.mul(mask.flatten()).sum().div(3).item<double>(), 1e-14);
  const at::Tensor weights = at::tensor({1., 3.}, at::kDouble);
  for (const auto& sizes : {std::vector<std::int64_t>{2}, {2, 1}}) {
    EXPECT_EQ(make_mean_squared_error()
                  ->terms(at::ones(sizes, at::kDouble), at::zeros({2}, at::kDouble), weights)
                  .sum.item<double>(),
              4);
  }
  EXPECT_ERROR(cross_entropy()->terms(logits, labels, at::ones({3})), InputError, "[3] for [2, 3]");
}

TEST(Loss, RefusesShapesThatDoNotFit) {
  const at::Tensor labels = at::zeros({3}, at::kLong);
  const auto refused = [&](const at::Tensor& output, const at::Tensor& targets, auto... texts) {
    EXPECT_ERROR(cross_entropy()->terms(output, targets, {}), InputError, texts...);
  };
  refused(at::zeros({3, 2, 2}), labels, "[3, 2, 2]", "[3]");
  refused(at::zeros({2, 4}), labels, "[2, 4]");
  refused(at::zeros({3, 2, 4}), at::zeros({3, 4}, at::kLong), "[batch, …, classes]", "[3, 2, 4]", "[3, 4]");
  refused(at::zeros({3}), labels, "[3]");
  refused(at::zeros({3, 2}), at::zeros({3}), "real numbers");
  EXPECT_ERROR(make_mean_squared_error()->terms(at::zeros({3, 2}), at::zeros({3}), {}), InputError, "[3, 2]", "[3]");
  EXPECT_ERROR(cross_entropy({.class_weights = {1, 2, 3}})->terms(at::zeros({3, 4}), labels, {}), InputError,
               "class_weights", "it has 3", "4 classes");
}

// Targets of several dimensions: numbers in another order would be trained on without a word.
TEST(Loss, TargetsOfSeveralDimensionsHaveTheOutputsSizes) {
  const auto squares = make_mean_squared_error();
  const auto sum = [&](const at::Tensor& output, const at::Tensor& targets) {
    return squares->terms(output, targets, {}).sum.item<float>();
  };
  EXPECT_EQ(sum(at::ones({3, 2, 4}), at::zeros({3, 2, 4})), 24);
  EXPECT_EQ(sum(at::ones({3, 1, 2, 4}), at::zeros({3, 2, 4})), 24);
  EXPECT_EQ(sum(at::ones({3, 2, 4}), at::zeros({3, 8})), 24);
  EXPECT_EQ(sum(at::ones({3, 1}), at::zeros({3})), 3);
  EXPECT_ERROR(sum(at::zeros({3, 4, 2}), at::zeros({3, 2, 4})), InputError, "in the same sizes",
               "[3, 4, 2] for targets [3, 2, 4]");
}

// [1, batch] is what the program makes of each micro-batch: its loss would depend on their size.
TEST(Loss, OutputsBeginWithTheBatch) {
  const auto squares = make_mean_squared_error();
  EXPECT_ERROR(squares->terms(at::zeros({1, 3}), at::zeros({3}), {}), InputError, "an output for each sample", "[1, 3]",
               "for targets [3]");
  EXPECT_ERROR(squares->terms(at::zeros({1, 3}), at::zeros({3, 1}), {}), InputError, "[1, 3]", "[3, 1]");
  EXPECT_EQ(squares->terms(at::ones({}), at::zeros({1}), {}).sum.item<float>(), 1);
  EXPECT_EQ(squares->terms(at::ones({1, 3}), at::zeros({1, 3}), {}).sum.item<float>(), 3);
  EXPECT_ERROR(weights_beside(at::ones({6}), at::ones({2, 3})), InputError, "[6] for [2, 3]");
  EXPECT_ERROR(cross_entropy()->terms(at::zeros({1, 3, 4}), at::zeros({3}, at::kLong), {}), InputError, "[1, 3, 4]");
}

/// A loss beside PyTorch's values, one for each position.
struct LossCase {
  std::string name;
  std::shared_ptr<const Loss> loss;
  at::Tensor output;
  at::Tensor targets;
  std::function<at::Tensor(const at::Tensor& output)> values;
};

std::vector<LossCase> loss_cases() {
  constexpr auto kNone = at::Reduction::None;
  const auto numbers = [](std::vector<std::int64_t> sizes) { return at::randn(sizes, at::kDouble); };
  const at::Tensor two = numbers({6, 2});
  const at::Tensor counts = at::poisson(at::full({6, 2}, 2, at::kDouble));
  const at::Tensor answers = at::rand({6, 3}, at::kDouble);
  const at::Tensor shares = numbers({6, 4}).softmax(1);
  const at::Tensor pairs = at::tensor({1., -1., -1., 1., 1., -1.}, at::kDouble);
  const at::Tensor tokens = at::randint(0, 4, {6, 5}, at::kLong);
  const at::Tensor positive = at::tensor({0.5, 2., 3.}, at::kDouble);
  return {
      {"mae", make_absolute_error(), numbers({6, 2}), two,
       [=](const at::Tensor& y) { return at::l1_loss(y, two, kNone); }},
      {"huber", make_huber(0.5), numbers({6, 2}), two,
       [=](const at::Tensor& y) { return at::huber_loss(y, two, kNone, 0.5); }},
      {"poisson_nll", make_poisson_likelihood(), numbers({6, 2}), counts,
       [=](const at::Tensor& y) { return y.exp() - counts * y; }},
      {"gaussian_nll", make_gaussian_likelihood(), at::rand({6, 2, 2}, at::kDouble), two,
       [=](const at::Tensor& y) {
         const at::Tensor variance = y.select(2, 1);
         return ((y.select(2, 0) - two).square() / variance + variance.log()) / 2;
       }},
      {"binary_cross_entropy", make_binary_cross_entropy({.positive_weights = {0.5, 2, 3}}, c10::Device(c10::kCPU)),
       numbers({6, 3}), answers,
       [=](const at::Tensor& y) { return at::binary_cross_entropy_with_logits(y, answers, {}, positive, kNone); }},
      {"soft", cross_entropy({.label_smoothing = 0.1, .class_weights = {1, 2, 0.5, 3}}), numbers({6, 4}), shares,
       [=](const at::Tensor& y) {
         return at::cross_entropy_loss(y, shares, at::tensor({1., 2., 0.5, 3.}, at::kDouble), kNone, -100, 0.1);
       }},
      {"cosine_embedding", make_cosine_embedding(0.25), numbers({6, 2, 5}), pairs,
       [=](const at::Tensor& y) {
         return at::cosine_embedding_loss(y.select(1, 0), y.select(1, 1), pairs, 0.25, kNone);
       }},
      {"next_token", make_next_token(cross_entropy(), -100), numbers({6, 5, 4}), tokens,
       [=](const at::Tensor& y) {
         return at::cross_entropy_loss(y.slice(1, 0, -1).flatten(0, 1), tokens.slice(1, 1).flatten(), {}, kNone)
             .view({6, 4});
       }},
  };
}

// In parts, with weights and without, and their gradients.
TEST(Loss, EachIsTheMeanOfPyTorchsValues) {
  const at::Tensor weights = at::tensor({0.5, 0., 2., 1., 3., 0.25}, at::kDouble);
  for (const LossCase& test : loss_cases()) {
    SCOPED_TRACE(test.name);
    const at::Tensor output = test.output.detach().requires_grad_();
    const auto gradient = [&](const at::Tensor& of) { return torch::autograd::grad({of}, {output}).at(0); };
    for (const at::Tensor& given : {at::Tensor(), weights}) {
      const at::Tensor values = test.values(output);
      std::vector<std::int64_t> sizes(static_cast<std::size_t>(values.dim()), 1);
      sizes[0] = 6;
      const at::Tensor counts = (given.defined() ? given : at::ones({6}, at::kDouble)).view(sizes).expand_as(values);
      const at::Tensor wanted = values.mul(counts).sum() / counts.sum();
      const at::Tensor found = mean(*test.loss, output, test.targets, given, 2);
      EXPECT_NEAR(found.item<double>(), wanted.item<double>(), 1e-13);
      EXPECT_LT((gradient(found) - gradient(wanted)).abs().max().item<double>(), 1e-13);
      EXPECT_EQ(test.loss->expected_weight(6, output), static_cast<double>(values.numel()));
    }
    const bool labels = test.targets.scalar_type() == at::kLong;
    for (const at::ScalarType reduced : {at::kBFloat16, at::kHalf}) {
      const at::Tensor targets = labels ? test.targets : test.targets.to(at::kFloat);
      const at::Tensor sum = test.loss->terms(test.output.to(reduced), targets, {}).sum;
      EXPECT_EQ(sum.scalar_type(), at::kFloat);
      const at::Tensor in_float = test.loss->terms(test.output.to(reduced).to(at::kFloat), targets, {}).sum;
      EXPECT_NEAR(sum.item<float>(), in_float.item<float>(), 1e-4 * std::abs(in_float.item<float>()));
    }
  }
}

TEST(Loss, InfoNceIsTheCrossEntropyOfEachSampleAmongAll) {
  const at::Tensor pairs = at::randn({7, 2, 5}, at::kDouble).requires_grad_();
  const at::Tensor own = at::arange(7, at::kLong);
  const auto expect_same = [&](const at::Tensor& found, const at::Tensor& wanted) {
    const auto gradient = [&](const at::Tensor& of) { return torch::autograd::grad({of}, {pairs}, {}, true).at(0); };
    EXPECT_NEAR(found.item<double>(), wanted.item<double>(), 1e-14 * std::abs(wanted.item<double>()));
    const at::Tensor one = gradient(found);
    const at::Tensor other = gradient(wanted);
    EXPECT_LT((one - other).abs().max().item<double>(), 1e-13 * other.abs().max().item<double>());
  };
  for (const double temperature : {1.0, 0.07}) {
    const at::Tensor similarities = at::matmul(pairs.select(1, 0), pairs.select(1, 1).t()) / temperature;
    const at::Tensor rows = at::cross_entropy_loss(similarities, own, {}, at::Reduction::Sum);
    const at::Tensor columns = at::cross_entropy_loss(similarities.t(), own, {}, at::Reduction::Sum);
    expect_same(make_info_nce(temperature)->terms(pairs, {}, {}).sum, rows);
    expect_same(make_symmetric_info_nce(temperature)->terms(pairs, {}, {}).sum, (rows + columns) / 2);
  }
  const auto one_way = make_info_nce(1);
  EXPECT_EQ(one_way->terms(pairs.to(at::kBFloat16), {}, {}).sum.scalar_type(), at::kFloat);
  EXPECT_TRUE(one_way->of_whole_batch());
  EXPECT_ERROR(one_way->terms(at::zeros({2, 3}), {}, {}), InputError, "[batch, 2, width]", "[2, 3]");
  EXPECT_ERROR(one_way->terms(at::zeros({2, 2, 3}, at::kLong), {}, {}), InputError, "real outputs", "Long");
}

TEST(Loss, WhatIsIgnoredCountsNothingAndHasNoGradient) {
  const auto binary = make_binary_cross_entropy({.ignore_index = 255}, c10::Device(c10::kCPU));
  const at::Tensor logits = at::randn({3, 2}, at::kDouble).requires_grad_();
  const at::Tensor answers = at::tensor({1., 255., 0., 0., 255., 255.}, at::kDouble).view({3, 2});
  const LossTerms terms = binary->terms(logits, answers, {});
  EXPECT_EQ(terms.weight.item<double>(), 3);
  const at::Tensor gradient = torch::autograd::grad({terms.sum}, {logits}).at(0);
  EXPECT_TRUE(gradient.ne(0).eq(answers.ne(255)).all().item<bool>());
  // A sequence's first token is no target, so that ignoring it changes nothing.
  const auto next = make_next_token(cross_entropy(), -100);
  const at::Tensor tokens = at::tensor({-100, 1, -100, 2}, at::kLong).view({1, 4});
  EXPECT_EQ(next->terms(at::zeros({1, 4, 3}), tokens, {}).weight.item<float>(), 2);
  EXPECT_EQ(
      next->terms(at::zeros({1, 4, 3}), tokens, at::tensor({9.F, 2.F, 9.F, 0.5F}).view({1, 4})).weight.item<float>(),
      2.5);
}

TEST(Loss, TargetsThatMeanNothingAreRefused) {
  const auto binary = make_binary_cross_entropy({}, c10::Device(c10::kCPU));
  EXPECT_ERROR(binary->terms(at::zeros({2}), at::tensor({0.F, 2.F}), {}), InputError,
               "from 0 (no) to 1 (yes); found 2");
  EXPECT_ERROR(make_poisson_likelihood()->terms(at::zeros({2}), at::tensor({0.F, -2.F}), {}), InputError, "found -2");
  EXPECT_ERROR(make_cosine_embedding(0)->terms(at::ones({2, 2, 3}), at::tensor({1.F, 0.5F}), {}), InputError,
               "found 0.5");
  EXPECT_ERROR(make_gaussian_likelihood()->terms(at::tensor({0.F, -1.F}).view({1, 2}), at::zeros({1}), {}), InputError,
               "takes variances", "found -1");
  EXPECT_ERROR(make_gaussian_likelihood()->terms(at::zeros({2, 3}), at::zeros({2}), {}), InputError, "[batch, …, 2]",
               "[2, 3]");
  EXPECT_ERROR(make_cosine_embedding(0)->terms(at::zeros({2, 3}), at::zeros({2}), {}), InputError, "[batch, 2, width]");
  EXPECT_ERROR(make_next_token(cross_entropy(), -100)->terms(at::zeros({2, 1, 3}), at::zeros({2, 1}, at::kLong), {}),
               InputError, "a length of at least 2");
  EXPECT_ERROR(make_binary_cross_entropy({.positive_weights = {1, 2}}, c10::Device(c10::kCPU))
                   ->terms(at::zeros({2, 3}), at::zeros({2, 3}), {}),
               InputError, "positive_weights must have one number, or one for each label; it has 2");
}

}  // namespace
}  // namespace lockstep
