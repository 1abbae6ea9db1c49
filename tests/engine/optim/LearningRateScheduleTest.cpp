#include "engine/optim/LearningRateSchedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/optim/Schedules.h"
#include "job/BuiltinChoices.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

Hyperparameters options(const std::string& schedule, std::int64_t warmup_steps = 0) {
  Hyperparameters result;
  result.schedule = schedule;
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

TEST(LearningRateSchedule, Constant) { expect_rates(rates(options("constant"), 3), {0.5, 0.5, 0.5}); }

TEST(LearningRateSchedule, StepDecaysEveryStepSize) {
  expect_rates(rates(options("step"), 8), {0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125});
}

TEST(LearningRateSchedule, LinearReachesTheFinalRateAfterTheLastStep) {
  expect_rates(rates(options("linear"), 4), {0.5, 0.4, 0.3, 0.2});
}

TEST(LearningRateSchedule, CosineHalvesTheWayInTheMiddle) {
  const double eighth = 0.2 * std::sqrt(0.5);  // (base - final) / 2 · cos(π / 4)
  expect_rates(rates(options("cosine"), 4), {0.5, 0.3 + eighth, 0.3, 0.3 - eighth});
}

TEST(LearningRateSchedule, WarmUpRisesToTheBaseRateAndThenTheScheduleBegins) {
  expect_rates(rates(options("constant", 2), 4), {0.25, 0.5, 0.5, 0.5});
  expect_rates(rates(options("linear", 2), 6), {0.25, 0.5, 0.5, 0.4, 0.3, 0.2});
  expect_rates(rates(options("step", 2), 6), {0.25, 0.5, 0.5, 0.5, 0.5, 0.25});
  expect_rates(rates(options("cosine", 4), 6), {0.125, 0.25, 0.375, 0.5, 0.5, 0.3});
}

// What torch.optim.lr_scheduler computes step by step, in its recursive form.
TEST(LearningRateSchedule, EqualsPyTorchsRecurrences) {
  constexpr std::int64_t kSteps = 50;
  constexpr double kPi = 3.14159265358979323846;
  const Hyperparameters cosine = options("cosine");
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
  expect_rates(rates(options("linear"), kSteps), expected);
}

// job/ knows them by name, without what they compute.
TEST(LearningRateSchedule, ThoseThatAreBuiltInAreThoseThatHyperparametersName) {
  std::vector<std::string> names;
  for (const ScheduleKind& kind : built_in_schedules()) names.push_back(kind.name);
  EXPECT_EQ(names, names_of(builtin_schedules()));
}

// The numbers here and below are those of PyTorch 2.11's torch.optim.lr_scheduler.
TEST(LearningRateSchedule, PolynomialEqualsPolynomialLR) {
  Hyperparameters polynomial = options("polynomial");
  polynomial.schedule_power = 2.5;
  polynomial.final_learning_rate = 0;
  expect_rates(rates(polynomial, 10), {0.5, 0.3842167357104581, 0.28621670111997316, 0.20498170650084852,
                                       0.13942740046346705, 0.08838834764831847, 0.05059644256269409,
                                       0.024647515087732493, 0.008944271909999158, 0.0015811388300841897});
}

TEST(LearningRateSchedule, ExponentialDecaysAfterEachStep) {
  expect_rates(rates(options("exponential"), 5), {0.5, 0.25, 0.125, 0.0625, 0.03125});
}

TEST(LearningRateSchedule, OneCycleEqualsOneCycleLR) {
  Hyperparameters cycle = options("one_cycle");
  cycle.schedule_div_factor = 10;
  cycle.final_learning_rate = 0.001;
  expect_rates(rates(cycle, 10),
               {0.04999999999999999, 0.275, 0.5, 0.4752917325416535, 0.406060705563754, 0.3060189730221004,
                0.19498102697789957, 0.09493929443624599, 0.02570826745834645, 0.001});
  // The top lies between two steps.
  cycle.schedule_pct_start = 0.37;
  cycle.schedule_div_factor = 25;
  cycle.final_learning_rate = 0.1;
  expect_rates(rates(cycle, 11), {0.020000000000000018, 0.13507183930048988, 0.3699412888686448, 0.4993845190602878,
                                  0.4824871517110374, 0.4282099193175649, 0.3480324066711039, 0.2581516448483783,
                                  0.17672486328180528, 0.12020146365495776, 0.1});
  // No rise, and a job of one step: no number is lost.
  cycle.schedule_pct_start = 0;
  EXPECT_DOUBLE_EQ(rates(cycle, 4).back(), 0.1);
  EXPECT_DOUBLE_EQ(rates(cycle, 1).back(), 0.1);
}

TEST(LearningRateSchedule, WarmupStableDecayEqualsASequenceOfThree) {
  Hyperparameters wsd = options("wsd", 2);
  wsd.schedule_decay_steps = 4;
  expect_rates(rates(wsd, 10), {0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.3, 0.2});
  EXPECT_ERROR(LearningRateSchedule(wsd, 5), InputError, "schedule_decay_steps=4", "3");
  expect_rates(rates(wsd, 6), {0.25, 0.5, 0.5, 0.4, 0.3, 0.2});
}

TEST(LearningRateSchedule, PlateauEqualsReduceLROnPlateau) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> metrics = {1, 1, 1, .9, .95, .91, .92, nan, .5, 2, 2.05, 2.5, 1, 1, 1, 1, 1, 1, 1, 1};
  Hyperparameters plateau = options("plateau");
  plateau.schedule_patience = 1;
  plateau.final_learning_rate = 0;
  const auto found = [&](bool resumed) {
    std::vector<double> result;
    LearningRateSchedule schedule(plateau, 100);
    for (const double metric : metrics) {
      schedule.evaluated(metric);
      result.push_back(schedule.learning_rate(50));
      if (!resumed) continue;
      LearningRateSchedule next(plateau, 100);
      next.check(schedule.state());
      next.restore(schedule.state());
      schedule = next;
    }
    return result;
  };
  const std::vector<double> minimized = {
      0.5,     0.5,     0.25,     0.25,     0.25,      0.125,     0.125,      0.0625,     0.0625,      0.0625,
      0.03125, 0.03125, 0.015625, 0.015625, 0.0078125, 0.0078125, 0.00390625, 0.00390625, 0.001953125, 0.001953125};
  EXPECT_EQ(found(false), minimized);
  EXPECT_EQ(found(true), minimized);
  plateau.monitor.maximize = true;
  plateau.schedule_threshold = 0.1;
  plateau.schedule_cooldown = 2;
  plateau.final_learning_rate = 0.03;
  const std::vector<double> maximized = {0.5,    0.5,    0.25,   0.25,    0.25,    0.25,   0.125,
                                         0.125,  0.125,  0.125,  0.125,   0.125,   0.125,  0.0625,
                                         0.0625, 0.0625, 0.0625, 0.03125, 0.03125, 0.03125};
  EXPECT_EQ(found(false), maximized);
  EXPECT_EQ(found(true), maximized);
}

TEST(LearningRateSchedule, OnlyPlateauFollowsEvaluationsAndNeedsItsState) {
  LearningRateSchedule constant(options("constant"), 10);
  for (int i = 0; i < 20; ++i) constant.evaluated(1);
  EXPECT_EQ(constant.learning_rate(3), 0.5);
  EXPECT_FALSE(constant.state());
  constant.check(std::nullopt);
  const LearningRateSchedule plateau(options("plateau", 2), 10);
  EXPECT_ERROR(plateau.check(std::nullopt), InputError, "plateau");
  EXPECT_ERROR(plateau.check(Plateau::State{.rate = -1}), InputError, "learning rate");
  EXPECT_EQ(plateau.learning_rate(0), 0.25);  // on the way to the rate that it has
}

TEST(LearningRateSchedule, TheWarmUpMustFitTheJob) {
  expect_rates(rates(options("cosine", 2), 2), {0.25, 0.5});
  EXPECT_ERROR(LearningRateSchedule(options("constant", 3), 2), InputError, "warmup_steps=3", "2 steps");
}

}  // namespace
}  // namespace lockstep
