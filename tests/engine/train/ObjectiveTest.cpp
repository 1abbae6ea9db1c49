#include "engine/train/Objective.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

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

TEST(Objective, RefusesShapesThatDoNotFit) {
  const at::Tensor labels = at::zeros({3}, at::kLong);
  EXPECT_ERROR(Objective(Loss::kCrossEntropy).sum(at::zeros({3, 2, 2}), labels), InputError, "[3, 2, 2]", "[3]");
  EXPECT_ERROR(Objective(Loss::kCrossEntropy).sum(at::zeros({2, 4}), labels), InputError, "[2, 4]");
  EXPECT_ERROR(Objective(Loss::kMse).sum(at::zeros({3, 2}), at::zeros({3})), InputError, "[3, 2]", "[3]");
}

TEST(Objective, ATargetPerSampleFitsAnOutputOfOne) {
  EXPECT_EQ(Objective(Loss::kMse).sum(at::ones({3, 1}), at::zeros({3})).item<float>(), 3);
}

}  // namespace
}  // namespace lockstep
