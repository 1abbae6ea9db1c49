#include "engine/optim/Optimizer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "common/Error.h"

namespace lockstep {
namespace {

constexpr double kRate = 0.1;

/// Of numbers up to 4 after some ten operations.
template <typename Real>
constexpr double kRounding = 64 * std::numeric_limits<Real>::epsilon();
const std::vector<bool> kAll = {true, true};

Hyperparameters sgd(double momentum = 0.9) {
  Hyperparameters options;
  options.optimizer = OptimizerKind::kSgd;
  options.momentum = momentum;
  return options;
}

Hyperparameters adamw() {
  Hyperparameters options;
  options.optimizer = OptimizerKind::kAdamW;
  return options;
}

/// Two parameters of 2 and 3 elements in a storage of 8, the rest of which nobody may touch.
template <typename Real>
struct Job {
  at::Tensor parameters = at::tensor({1.0, -2.0, 99.0, 99.0, 3.0, 4.0, -5.0, 99.0}, type());
  at::Tensor gradients = at::tensor({0.5, 1.0, 77.0, 77.0, -1.0, 2.0, 0.25, 77.0}, type());
  std::vector<kernels::Segment> segments = {{.offset = 0, .length = 2, .weight_decay = 0.01, .step = 41},
                                            {.offset = 4, .length = 3, .learning_rate_factor = 2, .step = 41}};
  std::unique_ptr<Optimizer> optimizer;

  explicit Job(const Hyperparameters& options)
      : optimizer(make_optimizer(options, {parameters, gradients}, segments)) {}
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void step(double gradient_scale, const std::vector<bool>& received = kAll) {
    flat_step = {.learning_rate = kRate, .gradient_scale = gradient_scale};
    optimizer->step(&flat_step, received);
  }
  Real value(std::size_t i) const { return parameters.const_data_ptr<Real>()[i]; }
  std::vector<Real> first() const { return {&values()[0], &values()[2]}; }
  std::vector<Real> second() const { return {&values()[4], &values()[7]}; }
  std::span<Real> state(std::size_t i) const {
    const at::Tensor state = optimizer->state().at(i).values;
    return {state.mutable_data_ptr<Real>(), static_cast<std::size_t>(state.numel())};
  }

 private:
  static at::ScalarType type() { return c10::CppTypeToScalarType<Real>::value; }
  const Real* values() const { return parameters.const_data_ptr<Real>(); }

  kernels::FlatStep flat_step;
};

template <typename Real>
class OptimizerTest : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(OptimizerTest, Reals);

TYPED_TEST(OptimizerTest, SgdFollowsItsFormula) {
  const double tolerance = kRounding<TypeParam>;
  Job<TypeParam> job(sgd());
  job.step(0.5);
  const double first = 0.5 * 0.5 + 0.01 * 1;  // gradient_scale · gradient + weight_decay · parameter
  EXPECT_NEAR(job.value(0), 1 - kRate * first, tolerance);
  EXPECT_NEAR(job.value(4), 3 - 2 * kRate * (0.5 * -1), tolerance);
  job.step(0.5);
  const double second = 0.9 * first + 0.5 * 0.5 + 0.01 * (1 - kRate * first);
  EXPECT_NEAR(job.value(0), 1 - kRate * first - kRate * second, tolerance);
  EXPECT_NEAR(job.state(0)[0], second, tolerance);
}

TYPED_TEST(OptimizerTest, AdamWsFirstStepIsTheRateWhateverTheGradient) {
  // m / (1 - β₁) = g and √(v / (1 - β₂)) = |g|, to which ε = 1e-8 is added
  const double tolerance = kRounding<TypeParam> + 1e-6;
  Job<TypeParam> job(adamw());
  job.step(1);
  EXPECT_NEAR(job.value(0), 1 * (1 - kRate * 0.01) - kRate, tolerance);
  EXPECT_NEAR(job.value(1), -2 * (1 - kRate * 0.01) - kRate, tolerance);
  EXPECT_NEAR(job.value(4), 3 + 2 * kRate, tolerance);
  EXPECT_NEAR(job.value(5), 4 - 2 * kRate, tolerance);
}

TYPED_TEST(OptimizerTest, OnlySegmentsChange) {
  for (const Hyperparameters& options : {sgd(), sgd(0), adamw()}) {
    Job<TypeParam> job(options);
    for (int i = 0; i < 3; ++i) job.step(1);
    for (const std::size_t gap : {2, 3, 7}) {
      EXPECT_EQ(job.value(gap), 99);
      for (std::size_t i = 0; i < job.optimizer->state().size(); ++i) EXPECT_EQ(job.state(i)[gap], 0);
    }
  }
}

TYPED_TEST(OptimizerTest, AParameterWithoutGradientKeepsValueStateAndStep) {
  for (const Hyperparameters& options : {sgd(), adamw()}) {
    Job<TypeParam> job(options);
    job.step(1);
    const std::vector<TypeParam> before = job.first();
    const TypeParam state = job.state(0)[0];
    ASSERT_NE(state, 0);
    job.step(1, {false, true});
    EXPECT_EQ(job.first(), before);
    EXPECT_EQ(job.state(0)[0], state);
    EXPECT_EQ(job.optimizer->steps(), (std::vector<std::int64_t>{1, 2}));
  }
}

// Bias correction counts a parameter's own updates: one that joins late moves as if it were its first step.
TYPED_TEST(OptimizerTest, AParameterThatJoinsLateStartsAtItsFirstStep) {
  Job<TypeParam> late(adamw());
  for (int i = 0; i < 3; ++i) late.step(1, {false, true});
  late.step(1);
  Job<TypeParam> fresh(adamw());
  fresh.step(1);
  EXPECT_EQ(late.first(), fresh.first());
  EXPECT_EQ(late.optimizer->steps(), (std::vector<std::int64_t>{1, 4}));
  EXPECT_NE(late.second(), fresh.second());
}

TYPED_TEST(OptimizerTest, StateAndStepsAreAllThatResumingNeeds) {
  for (const Hyperparameters& options : {sgd(), adamw()}) {
    Job<TypeParam> straight(options);
    for (int i = 0; i < 3; ++i) straight.step(1, {i != 1, true});
    Job<TypeParam> resumed(options);
    resumed.parameters.copy_(straight.parameters);
    for (std::size_t i = 0; i < straight.optimizer->state().size(); ++i) {
      std::ranges::copy(straight.state(i), resumed.state(i).begin());
    }
    resumed.optimizer->set_steps(straight.optimizer->steps());
    for (Job<TypeParam>* job : {&straight, &resumed}) job->step(1);
    EXPECT_TRUE(at::equal(resumed.parameters, straight.parameters));
  }
}

TYPED_TEST(OptimizerTest, StateIsNamedZeroAndOnCacheLines) {
  const auto names = [](const Hyperparameters& options) {
    const Job<TypeParam> job(options);
    std::vector<std::string> result;
    for (std::size_t i = 0; i < job.optimizer->state().size(); ++i) {
      result.push_back(job.optimizer->state()[i].name);
      const std::span<TypeParam> values = job.state(i);
      EXPECT_EQ(values.size(), 8);
      EXPECT_EQ(std::ranges::count(values, TypeParam(0)), 8);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(values.data()) % 64, 0);
    }
    return result;
  };
  EXPECT_EQ(names(sgd()), std::vector<std::string>{"momentum"});
  EXPECT_EQ(names(sgd(0)), std::vector<std::string>{});
  EXPECT_EQ(names(adamw()), (std::vector<std::string>{"first_moment", "second_moment"}));
}

TEST(Optimizer, HyperparametersReachTheKernel) {
  const auto after_two_steps = [](const Hyperparameters& options) {
    Job<double> job(options);
    job.step(1);
    job.gradients[4].fill_(3);  // a constant gradient would hide Adam's decay rates behind its bias correction
    job.step(1);
    return job.second();
  };
  const std::vector<double> base_sgd = after_two_steps(sgd());
  const std::vector<double> base_adamw = after_two_steps(adamw());
  Hyperparameters changed = sgd();
  changed.nesterov = true;
  EXPECT_NE(after_two_steps(changed), base_sgd);
  for (double Hyperparameters::*field : {&Hyperparameters::beta1, &Hyperparameters::beta2, &Hyperparameters::epsilon}) {
    changed = adamw();
    changed.*field = 0.5;
    EXPECT_NE(after_two_steps(changed), base_adamw);
  }
}

TEST(Optimizer, RefusesFlagsOfAnotherLayout) {
  Job<double> job(sgd());
  EXPECT_THROW(job.step(1, {true}), InternalError);
  EXPECT_THROW(job.optimizer->set_steps({1, 2, 3}), InternalError);
}

}  // namespace
}  // namespace lockstep
