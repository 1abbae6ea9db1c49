#include "engine/optim/LearningRateSchedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

Hyperparameters options(ScheduleKind kind, std::int64_t warmup_steps = 0) {
  Hyperparameters result;
  result.schedule = kind;
  result.learning_rate = 0.5;
  result.final_learning_rate = 0.1;
  result.schedule_step_size = 3;
  result.schedule_gamma = 0.5;
  result.warmup_steps = warmup_steps;
  return result;
}

// The rates of a whole job.
std::vector<double> rates(const Hyperparameters& hyperparameters, std::int64_t steps) {
  const LearningRateSchedule schedule(hyperparameters, steps);
  std::vector<double> result;
  for (std::int64_t step = 0; step < steps; ++step) result.push_back(schedule.learning_rate(step));
  return result;
}

// Rates up to one half come of some ten operations, each off by half a unit in the last place.
void expect_rates(const std::vector<double>& found, const std::vector<double>& expected) {
  constexpr double kRoom = 64 * std::numeric_limits<double>::epsilon();
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], kRoom) << "step " << i;
}

TEST(LearningRateSchedule, Constant) { expect_rates(rates(options(ScheduleKind::kConstant), 3), {0.5, 0.5, 0.5}); }

TEST(LearningRateSchedule, StepDecaysEveryStepSize) {
  expect_rates(rates(options(ScheduleKind::kStep), 8), {0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125});
}

TEST(LearningRateSchedule, LinearReachesTheFinalRateAfterTheLastStep) {
  expect_rates(rates(options(ScheduleKind::kLinear), 4), {0.5, 0.4, 0.3, 0.2});
}

TEST(LearningRateSchedule, CosineHalvesTheWayInTheMiddle) {
  const double eighth = 0.2 * std::sqrt(0.5);  // (base - final) / 2 · cos(π / 4)
  expect_rates(rates(options(ScheduleKind::kCosine), 4), {0.5, 0.3 + eighth, 0.3, 0.3 - eighth});
}

TEST(LearningRateSchedule, WarmUpRisesToTheBaseRateAndThenTheScheduleBegins) {
  expect_rates(rates(options(ScheduleKind::kConstant, 2), 4), {0.25, 0.5, 0.5, 0.5});
  expect_rates(rates(options(ScheduleKind::kLinear, 2), 6), {0.25, 0.5, 0.5, 0.4, 0.3, 0.2});
  expect_rates(rates(options(ScheduleKind::kStep, 2), 6), {0.25, 0.5, 0.5, 0.5, 0.5, 0.25});
  expect_rates(rates(options(ScheduleKind::kCosine, 4), 6), {0.125, 0.25, 0.375, 0.5, 0.5, 0.3});
}

// What torch.optim.lr_scheduler computes step by step, in its recursive form.
TEST(LearningRateSchedule, EqualsPyTorchsRecurrences) {
  constexpr std::int64_t kSteps = 50;
  constexpr double kPi = 3.14159265358979323846;
  const Hyperparameters cosine = options(ScheduleKind::kCosine);
  std::vector<double> expected = {0.5};
  for (std::int64_t t = 1; t < kSteps; ++t) {  // CosineAnnealingLR.get_lr
    expected.push_back((1 + std::cos(kPi * static_cast<double>(t) / kSteps)) /
                           (1 + std::cos(kPi * static_cast<double>(t - 1) / kSteps)) *
                           (expected.back() - cosine.final_learning_rate) +
                       cosine.final_learning_rate);
  }
  expect_rates(rates(cosine, kSteps), expected);
  expected = {0.5};
  const double end = 0.1 / 0.5;
  for (std::int64_t t = 1; t < kSteps; ++t) {  // LinearLR.get_lr with start_factor 1
    expected.push_back(expected.back() * (1 + (end - 1) / (kSteps + static_cast<double>(t - 1) * (end - 1))));
  }
  expect_rates(rates(options(ScheduleKind::kLinear), kSteps), expected);
}

TEST(LearningRateSchedule, TheWarmUpMustFitTheJob) {
  expect_rates(rates(options(ScheduleKind::kCosine, 2), 2), {0.25, 0.5});
  EXPECT_ERROR(LearningRateSchedule(options(ScheduleKind::kConstant, 3), 2), InputError, "warmup_steps=3", "2 steps");
}

}  // namespace
}  // namespace lockstep
