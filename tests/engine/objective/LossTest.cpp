#include "engine/objective/Loss.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <memory>
#include <optional>

#include "common/Error.h"
#include "engine/objective/CrossEntropy.h"
#include "engine/objective/MeanSquaredError.h"
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
      const at::Tensor counts = loss->weights(labels, samples).to(at::kDouble);
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

}  // namespace
}  // namespace lockstep
