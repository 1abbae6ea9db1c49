#include "engine/train/Objective.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

TEST(Objective, SumsDividedByTheDenominatorAreTheMeanOfTheWhole) {
  const at::Tensor logits = at::randn({7, 4}, at::kDouble);
  const at::Tensor labels = at::randint(0, 4, {7}, at::kLong);
  const at::Tensor values = at::randn({7, 4}, at::kDouble);
  const auto check = [&](Loss loss, const at::Tensor& targets, const at::Tensor& mean) {
    const Objective objective(loss);
    const double parts = objective.sum(logits.slice(0, 0, 3), targets.slice(0, 0, 3)).item<double>() +
                         objective.sum(logits.slice(0, 3, 7), targets.slice(0, 3, 7)).item<double>();
    EXPECT_NEAR(parts / objective.denominator(7, logits), mean.item<double>(), 1e-14);
  };
  check(Loss::kCrossEntropy, labels, at::cross_entropy_loss(logits, labels));
  check(Loss::kMse, values, at::mse_loss(logits, values));
}

TEST(Objective, EveryPositionOfASequenceIsClassified) {
  const at::Tensor logits = at::randn({4, 3, 2, 5}, at::kDouble).transpose(1, 2).requires_grad_();
  const at::Tensor labels = at::randint(0, 5, {4, 2, 3}, at::kLong);
  const Objective objective(Loss::kCrossEntropy, 0.1);
  const at::Tensor mean = at::cross_entropy_loss(logits.reshape({24, 5}), labels.reshape({24}), {}, 1, -100, 0.1);
  const at::Tensor ours = objective.sum(logits, labels).div(objective.denominator(4, logits));
  EXPECT_EQ(objective.denominator(4, logits), 24);
  EXPECT_NEAR(ours.item<double>(), mean.item<double>(), 1e-14);
  const auto gradient = [&](const at::Tensor& loss) { return torch::autograd::grad({loss}, {logits}).at(0); };
  EXPECT_LT((gradient(ours) - gradient(mean)).abs().max().item<double>(), 1e-15);
}

TEST(Objective, RefusesShapesThatDoNotFit) {
  const at::Tensor labels = at::zeros({3}, at::kLong);
  EXPECT_ERROR(Objective(Loss::kCrossEntropy).sum(at::zeros({3, 2, 2}), labels), InputError, "[3, 2, 2]", "[3]");
  EXPECT_ERROR(Objective(Loss::kCrossEntropy).sum(at::zeros({2, 4}), labels), InputError, "[2, 4]");
  EXPECT_ERROR(Objective(Loss::kCrossEntropy).sum(at::zeros({3, 2, 4}), at::zeros({3, 4}, at::kLong)), InputError,
               "[batch, …, classes]", "[3, 2, 4]", "[3, 4]");
  EXPECT_ERROR(Objective(Loss::kCrossEntropy).sum(at::zeros({3}), labels), InputError, "[3]");
  EXPECT_ERROR(Objective(Loss::kMse).sum(at::zeros({3, 2}), at::zeros({3})), InputError, "[3, 2]", "[3]");
}

// Targets of several dimensions: numbers in another order would be trained on without a word.
TEST(Objective, TargetsOfSeveralDimensionsHaveTheOutputsSizes) {
  const Objective objective(Loss::kMse);
  EXPECT_EQ(objective.sum(at::ones({3, 2, 4}), at::zeros({3, 2, 4})).item<float>(), 24);
  EXPECT_EQ(objective.sum(at::ones({3, 1, 2, 4}), at::zeros({3, 2, 4})).item<float>(), 24);
  EXPECT_EQ(objective.sum(at::ones({3, 2, 4}), at::zeros({3, 8})).item<float>(), 24);
  EXPECT_ERROR(objective.sum(at::zeros({3, 4, 2}), at::zeros({3, 2, 4})), InputError, "in the same sizes",
               "[3, 4, 2] for targets [3, 2, 4]");
}

TEST(Objective, ATargetPerSampleFitsAnOutputOfOne) {
  EXPECT_EQ(Objective(Loss::kMse).sum(at::ones({3, 1}), at::zeros({3})).item<float>(), 3);
}

}  // namespace
}  // namespace lockstep
