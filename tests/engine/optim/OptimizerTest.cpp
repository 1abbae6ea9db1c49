#include "engine/optim/Optimizer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "common/Error.h"
#include "engine/optim/Muon.h"
#include "engine/optim/Optimizers.h"
#include "job/BuiltinChoices.h"

namespace lockstep {
namespace {

constexpr double kRate = 0.1;

/// Of numbers up to 4 after some ten operations.
template <typename Real>
constexpr double kRounding = 64 * std::numeric_limits<Real>::epsilon();
const std::vector<bool> kAll = {true, true};

Hyperparameters sgd(double momentum = 0.9) {
  Hyperparameters options;
  options.optimizer = "sgd";
  options.momentum = momentum;
  return options;
}

Hyperparameters adamw() {
  Hyperparameters options;
  options.optimizer = "adamw";
  return options;
}

/// Every optimizer, and each form of those that have several.
std::vector<Hyperparameters> every_optimizer() {
  std::vector<Hyperparameters> all = {sgd(0)};
  for (const BuiltinChoice& choice : builtin_optimizers()) {
    all.emplace_back().optimizer = choice.name;
    if (choice.name != "rmsprop") continue;
    all.back().centered = true;
    all.push_back(all.back());
    all.back().momentum = 0;
  }
  return all;
}

/// Two parameters of 2 and 3 elements in a storage of 8, the rest of which nobody may touch.
template <typename Real>
struct Job {
  at::Tensor parameters = at::tensor({1.0, -2.0, 99.0, 99.0, 3.0, 4.0, -5.0, 99.0}, type());
  at::Tensor gradients = at::tensor({0.5, 1.0, 77.0, 77.0, -1.0, 2.0, 0.25, 77.0}, type());
  std::vector<kernels::Segment> segments = {
      {.offset = 0, .length = 2, .weight_decay = 0.01, .step = 41},
      {.offset = 4, .length = 3, .learning_rate_factor = 2, .step = 41, .matrix = true}};
  std::unique_ptr<Optimizer> optimizer;

  explicit Job(const Hyperparameters& options)
      : optimizer(make_optimizer(options, {parameters, gradients, {at::empty({2}), at::empty({3, 1})}}, segments)) {}
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void step(double gradient_scale, const std::vector<bool>& received = kAll) {
    flat_step = {.learning_rate = kRate, .gradient_scale = gradient_scale};
    optimizer->step(&flat_step, received);
  }
  void skip() {
    flat_step = {.learning_rate = kRate, .gradient_scale = std::numeric_limits<double>::quiet_NaN(), .skip = true};
    optimizer->step(&flat_step, kAll);
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
  for (const Hyperparameters& options : every_optimizer()) {
    SCOPED_TRACE(options.optimizer);
    Job<TypeParam> job(options);
    for (int i = 0; i < 3; ++i) job.step(1);
    for (const std::size_t gap : {2, 3, 7}) {
      EXPECT_EQ(job.value(gap), 99);
      for (std::size_t i = 0; i < job.optimizer->state().size(); ++i) EXPECT_EQ(job.state(i)[gap], 0);
    }
  }
}

TYPED_TEST(OptimizerTest, AParameterWithoutGradientKeepsValueStateAndStep) {
  for (const Hyperparameters& options : every_optimizer()) {
    SCOPED_TRACE(options.optimizer);
    for (const std::size_t without : {0, 1}) {
      Job<TypeParam> job(options);
      job.step(1);
      const std::vector<TypeParam> before = without == 0 ? job.first() : job.second();
      std::vector<TypeParam> states;
      for (std::size_t i = 0; i < job.optimizer->state().size(); ++i) {
        states.push_back(job.state(i)[without == 0 ? 0 : 4]);
        ASSERT_NE(states.back(), 0);
      }
      const bool has_momentum_only = options.optimizer == "muon" && without == 1;
      if (has_momentum_only) states.pop_back();  // the other is the direction of the moment
      job.step(1, {without != 0, without != 1});
      EXPECT_EQ(without == 0 ? job.first() : job.second(), before);
      for (std::size_t i = 0; i < states.size(); ++i) EXPECT_EQ(job.state(i)[without == 0 ? 0 : 4], states[i]);
      EXPECT_EQ(job.optimizer->steps(),
                without == 0 ? (std::vector<std::int64_t>{1, 2}) : (std::vector<std::int64_t>{2, 1}));
    }
  }
}

TYPED_TEST(OptimizerTest, AStepThatIsSkippedChangesNothing) {
  for (const Hyperparameters& options : every_optimizer()) {
    SCOPED_TRACE(options.optimizer);
    Job<TypeParam> straight(options);
    Job<TypeParam> skips(options);
    straight.step(1);
    skips.step(1);
    const at::Tensor before = skips.parameters.clone();
    skips.skip();
    EXPECT_TRUE(at::equal(skips.parameters, before));
    straight.step(1);
    skips.step(1);
    EXPECT_TRUE(at::equal(skips.parameters, straight.parameters));
    EXPECT_EQ(skips.optimizer->steps(), straight.optimizer->steps());
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
  for (const Hyperparameters& options : every_optimizer()) {
    SCOPED_TRACE(options.optimizer);
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

// job/ knows them by name, without what they compute.
TEST(Optimizer, ThoseThatAreBuiltInAreThoseThatHyperparametersName) {
  std::vector<std::string> names;
  for (const OptimizerKind& kind : built_in_optimizers()) names.push_back(kind.name);
  EXPECT_EQ(names, names_of(builtin_optimizers()));
}

// Three steps of torch.optim.Muon, PyTorch 2.11, from the same numbers in all shapes, in float64.
TEST(Muon, EqualsPyTorch) {
  struct Expectation {
    std::vector<std::int64_t> sizes;
    bool nesterov;
    std::vector<double> parameters;
  };
  for (const Expectation& expected : std::initializer_list<Expectation>{
           {{2, 2}, true, {0.9563855082397461, -1.7242098769531249, 0.232431958984375, 3.1971608486328122}},
           {{2, 2}, false, {0.954562578857422, -1.72225484765625, 0.23008636328125007, 3.1958291274414066}},
           {{4, 1}, true, {0.9122411298828125, -1.739233861328125, 0.15832355078124996, 3.2376336647949224}},
           {{4, 1}, false, {0.9117450703125, -1.74116750390625, 0.16218306249999995, 3.235541859375}},
           {{1, 4}, true, {0.9486580024414061, -1.8546918056640624, 0.32543049414062497, 3.2195635042724606}},
           {{1, 4}, false, {0.9484099726562502, -1.855658626953125, 0.3273602499999999, 3.2185176015625}}}) {
    Hyperparameters options;
    options.optimizer = "muon";
    options.momentum = 0.9;
    options.nesterov = expected.nesterov;
    const at::Tensor parameters = at::tensor({1.0, -2.0, 0.5, 3.25}, at::kDouble);
    const at::Tensor gradients = at::zeros_like(parameters);
    const auto muon = make_optimizer(options, {parameters, gradients, {at::empty(expected.sizes)}},
                                     {{.length = 4, .weight_decay = 0.05, .matrix = true}});
    const kernels::FlatStep step{.learning_rate = 0.1, .gradient_scale = 2};
    for (int t = 0; t < 3; ++t) {
      gradients.copy_((at::tensor({0.5, -1.25, 2.0, -0.125}, at::kDouble) * (t + 1) - 0.25 * t) / 2);
      muon->step(&step, {true});
    }
    EXPECT_TRUE(at::allclose(parameters, at::tensor(expected.parameters, at::kDouble), 1e-12, 1e-12)) << parameters;
  }
}

// Of a matrix that lies column by column the rows are still the rows.
TEST(Muon, TheOrderOfMemoryDoesNotMatter) {
  Hyperparameters options;
  options.optimizer = "muon";
  const at::Tensor start = at::arange(8, at::kDouble).sub(3.5).view({4, 2});
  const at::Tensor gradient = at::arange(8, at::kDouble).sub(1).square().view({4, 2});
  const kernels::FlatStep step{.learning_rate = 0.1};
  std::vector<at::Tensor> results;
  for (const bool transposed : {false, true}) {
    const auto flat = [&](const at::Tensor& matrix) {
      return (transposed ? matrix.t() : matrix).contiguous().view(-1);
    };
    const at::Tensor parameters = flat(start).clone();
    const at::Tensor like = transposed ? at::empty({2, 4}).t() : at::empty({4, 2});
    make_optimizer(options, {parameters, flat(gradient), {like}}, {{.length = 8, .matrix = true}})->step(&step, {true});
    results.push_back(transposed ? parameters.view({2, 4}).t() : parameters.view({4, 2}));
  }
  EXPECT_FALSE(at::equal(results[0], start));
  EXPECT_TRUE(at::allclose(results[0], results[1]));
}

TEST(Muon, TheRestFollowsAdamWAtItsOwnRate) {
  Hyperparameters muon = adamw();
  muon.optimizer = "muon";
  muon.learning_rate = kRate;
  Job<double> alike(muon);
  Job<double> reference(adamw());
  muon.adamw_learning_rate = kRate / 4;
  Job<double> slower(muon);
  for (Job<double>* job : {&alike, &reference, &slower}) job->step(1);
  EXPECT_EQ(alike.first(), reference.first());
  EXPECT_EQ(slower.second(), alike.second());
  EXPECT_NEAR(1 - slower.value(0), (1 - alike.value(0)) / 4, 1e-12);
}

TEST(Optimizer, RefusesFlagsOfAnotherLayout) {
  Job<double> job(sgd());
  EXPECT_THROW(job.step(1, {true}), InternalError);
  EXPECT_THROW(job.optimizer->set_steps({1, 2, 3}), InternalError);
}

}  // namespace
}  // namespace lockstep
