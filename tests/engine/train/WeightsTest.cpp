// What samples weigh, however they are spread over ranks and micro-batches.
#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <memory>
#include <optional>

#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/objective/losses/CrossEntropy.h"
#include "engine/train/NotFinite.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/RankAlone.h"
#include "tests/support/ReplayingDevice.h"
#include "tests/support/TrainingJob.h"

namespace lockstep {
namespace {

constexpr std::int64_t kClasses = 5;
constexpr std::int64_t kIgnored = -100;
constexpr std::int64_t kBatch = 7;
constexpr std::int64_t kSamples = 3 * kBatch + 2;  // on four ranks, the last batch leaves two without data
constexpr int kSteps = 20;
const std::vector<double> kClassWeights = {0.5, 2, 1, 0.25, 3};

/// Says of no position what it weighs: the weight is known beforehand, as that of mse is.
class Unweighed : public Loss {
 public:
  explicit Unweighed(std::shared_ptr<const Loss> loss) : loss_(std::move(loss)) {}

  bool class_labels() const override { return true; }
  std::int64_t positions(const at::Tensor& output) const override { return loss_->positions(output); }
  LossTerms terms(const at::Tensor& output, const at::Tensor& targets, const at::Tensor& weights) const override {
    return {.sum = loss_->terms(output, targets, weights).sum};
  }
  Compared compared(const at::Tensor& output, const at::Tensor& targets, const at::Tensor&) const override {
    return {.output = output, .targets = targets};
  }

 private:
  std::shared_ptr<const Loss> loss_;
};

struct Weighing {
  bool ignores = false;
  bool classes = false;
  bool samples = false;
};

std::shared_ptr<const Loss> loss_of(const Weighing& weighing) {
  return make_cross_entropy({.label_smoothing = 0.1,
                             .ignore_index = kIgnored,
                             .class_weights = weighing.classes ? kClassWeights : std::vector<double>()},
                            c10::Device(c10::kCPU));
}

/// Weights from 0.25 to 2, in quarters. With `ignores` the labels 2 … 6 of the first batch are ignored, which on 2, 3
/// or 4 ranks are all of some rank, and with `empty` all labels of the second batch.
Waves data(const Weighing& weighing, bool empty = false) {
  return Waves(
      kSamples, {.input = {1, 4, 4}, .class_labels = true, .target = {}, .classes = kClasses},
      [ignores = weighing.ignores, empty](std::int64_t sample) -> std::vector<double> {
        const bool ignored =
            (ignores && sample >= 2 && sample < kBatch) || (empty && sample >= kBatch && sample < 2 * kBatch);
        return {static_cast<double>(ignored ? kIgnored : sample * sample % kClasses)};
      },
      weighing.samples
      ? [](std::int64_t sample) -> std::vector<double> { return {static_cast<double>(1 + sample * 5 % 8) / 4}; }
      : Waves::Numbers());
}

Device& cpu() {
  static CpuDevice device(1);
  return device;
}

Hyperparameters options(double clip_norm = 0, std::int64_t micro_batch = 0) {
  return {.batch_size = kBatch,
          .micro_batch_size = micro_batch,
          .eval_batch_size = kBatch,
          .learning_rate = 0.1,
          .momentum = 0.9,
          .clip_norm = clip_norm,
          .precision = Precision::kFp64};
}

TrainingJob job(const Dataset& dataset, const Hyperparameters& given, std::shared_ptr<const Loss> loss,
                Communicator& communicator, Device& device = cpu(),
                std::optional<LossScale> loss_scale = std::nullopt) {
  return TrainingJob({.dataset = dataset, .device = device, .communicator = communicator, .outputs = kClasses}, given,
                     Objective(std::move(loss), {}), loss_scale);
}

double relative_difference(const at::Tensor& found, const at::Tensor& wanted) {
  return found.sub(wanted).norm().div(wanted.norm()).item<double>();
}

// Sums of no more than 1024 terms in another order are off by some √1024 roundings, in each step anew; a gradient of
// cross-entropy with weights around 1 is no larger than the parameters. Eight is room for layers, momentum and norms.
const double kBound = 8 * 32 * std::numeric_limits<double>::epsilon() * kSteps;

class Weights : public testing::Test {
 protected:
  void expect_one_ranks(const Weighing& weighing, const Hyperparameters& given, bool empty = false);

  MpiCommunicator ranks_{mpi_session(), MpiMode::kInline};
};

void Weights::expect_one_ranks(const Weighing& weighing, const Hyperparameters& given, bool empty) {
  SCOPED_TRACE(std::to_string(weighing.ignores) + std::to_string(weighing.classes) + std::to_string(weighing.samples));
  const Waves samples = data(weighing, empty);
  RankAlone alone;
  TrainingJob one = job(samples, given, loss_of(weighing), alone);
  TrainingJob all = job(samples, given, loss_of(weighing), ranks_);
  for (int i = 0; i < kSteps; ++i) {
    const TrainingStep::Result wanted = one.step();
    const TrainingStep::Result found = all.step();
    EXPECT_NEAR(found.loss, wanted.loss, kBound) << i;
    EXPECT_EQ(found.weightless, empty && i % 4 == 1) << i;
    EXPECT_EQ(wanted.weightless, empty && i % 4 == 1) << i;
  }
  EXPECT_LE(relative_difference(all.parameters(), one.parameters()), kBound);
}

constexpr Weighing kWeighings[] = {
    {.ignores = true}, {.classes = true}, {.samples = true}, {.ignores = true, .classes = true, .samples = true}};

TEST_F(Weights, ManyRanksTrainAsOneDoes) {
  for (const Weighing& weighing : kWeighings) expect_one_ranks(weighing, options());
  expect_one_ranks(kWeighings[3], options(0.05, 1));
}

TEST_F(Weights, AGlobalBatchThatWeighsNothingChangesNothing) {
  expect_one_ranks(kWeighings[3], options(0.05), /*empty=*/true);
  const Waves samples = data(kWeighings[0], /*empty=*/true);
  TrainingJob some = job(samples, options(), loss_of(kWeighings[0]), ranks_);
  some.step();
  const at::Tensor before = some.parameters();
  const TrainingStep::Result result = some.step();
  EXPECT_TRUE(result.weightless);
  EXPECT_FALSE(result.skipped);
  EXPECT_EQ(result.loss, 0);
  EXPECT_TRUE(at::equal(some.parameters(), before));
  EXPECT_EQ(some.updates(), 1);
  EXPECT_FALSE(some.step().weightless);
}

/// The same job step by step in PyTorch's own words, on the whole batch.
class PyTorch {
 public:
  PyTorch(const Waves& samples, const Weighing& weighing, const Hyperparameters& given)
      : samples_(samples),
        weighing_(weighing),
        given_(given),
        program_(
            build_builtin_program(
                "mlp", {.input_shape = {1, 4, 4}, .classes = kClasses, .channels = {}, .hidden = {8}, .dropout = 0})
                .to(at::kDouble)),
        executor_(program_) {
    for (const StateTensor& entry : program_.trained_parameters()) {
      parameters_.push_back(entry.tensor);
      momenta_.push_back(at::zeros_like(entry.tensor));
    }
  }

  double step(std::int64_t index) {
    const std::int64_t begin = index % 4 * kBatch;
    std::vector<std::int64_t> batch;
    for (std::int64_t i = begin; i < std::min(begin + kBatch, kSamples); ++i) batch.push_back(i);
    const auto count = static_cast<std::int64_t>(batch.size());
    const at::Tensor inputs = at::empty({count, 1, 4, 4}, at::kDouble);
    const at::Tensor targets = at::empty({count}, at::kLong);
    const at::Tensor weights = weighing_.samples ? at::empty({count}, at::kDouble) : at::Tensor();
    std::vector<std::byte*> fields;
    for (const at::Tensor& field : {inputs, targets, weights}) {
      if (field.defined()) fields.push_back(static_cast<std::byte*>(field.mutable_data_ptr()));
    }
    samples_.read(batch, fields);
    const at::Tensor loss = loss_of(executor_.run({inputs}).at(0), targets, weights);
    std::vector<at::Tensor> gradients = torch::autograd::grad({loss}, parameters_);
    const c10::NoGradGuard no_grad;
    if (given_.clip_norm > 0) {
      double squares = 0;
      for (const at::Tensor& gradient : gradients) squares += gradient.square().sum().item<double>();
      const double scale = std::min(1.0, given_.clip_norm / (std::sqrt(squares) + 1e-6));
      for (at::Tensor& gradient : gradients) gradient = gradient.mul(scale);
    }
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      momenta_[i].mul_(given_.momentum).add_(gradients[i]);
      parameters_[i].sub_(momenta_[i], given_.learning_rate);
    }
    return loss.item<double>();
  }
  const Program& program() const { return program_; }

 private:
  at::Tensor loss_of(const at::Tensor& output, const at::Tensor& labels, const at::Tensor& weights) const {
    const at::Tensor classes = weighing_.classes ? at::tensor(kClassWeights, at::kDouble) : at::Tensor();
    if (!weighing_.samples) {
      return at::cross_entropy_loss(output, labels, classes, at::Reduction::Mean, kIgnored, 0.1);
    }
    const at::Tensor samples = weights.mul(labels.ne(kIgnored));
    const at::Tensor each = at::cross_entropy_loss(output, labels, classes, at::Reduction::None, kIgnored, 0.1);
    const at::Tensor by_class =
        classes.defined() ? classes.index_select(0, labels.clamp(0)) : at::ones({labels.size(0)}, at::kDouble);
    return each.mul(samples).sum().div(samples.mul(by_class).sum());
  }

  const Waves& samples_;
  Weighing weighing_;
  Hyperparameters given_;
  Program program_;
  Executor executor_;
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> momenta_;
};

TEST_F(Weights, AnyNumberOfRanksTrainsAsPyTorchDoes) {
  for (const Weighing& weighing : kWeighings) {
    for (const Hyperparameters& given : {options(), options(0.05, 2)}) {
      const Waves samples = data(weighing);
      PyTorch reference(samples, weighing, given);
      TrainingJob ours = job(samples, given, loss_of(weighing), ranks_);
      for (int i = 0; i < kSteps; ++i) EXPECT_NEAR(ours.step().loss, reference.step(i), 1e-9) << i;
      const auto wanted = reference.program().trained_parameters();
      const auto found = ours.inference_program().trained_parameters();
      ASSERT_EQ(found.size(), wanted.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].name, wanted[i].name);
        EXPECT_LE(relative_difference(found[i].tensor, wanted[i].tensor), 1e-9) << found[i].name;
      }
    }
  }
}

// To the bit, in float32, whose riders cannot hold a seventh: nothing is missing, so nothing is corrected.
TEST_F(Weights, WhereEachPositionWeighsOneNothingIsCorrected) {
  const Waves samples(
      kSamples, {.input = {1, 4, 4}, .class_labels = true, .target = {}, .classes = kClasses},
      [](std::int64_t sample) -> std::vector<double> { return {static_cast<double>(sample % kClasses)}; });
  Hyperparameters given = options(0.05, 2);
  given.precision = Precision::kFp32;
  const auto loss = make_cross_entropy({}, c10::Device(c10::kCPU));
  TrainingJob weighed = job(samples, given, loss, ranks_);
  TrainingJob unweighed = job(samples, given, std::make_shared<Unweighed>(loss), ranks_);
  for (int i = 0; i < kSteps; ++i) EXPECT_EQ(weighed.step().loss, unweighed.step().loss) << i;
  EXPECT_TRUE(at::equal(weighed.parameters(), unweighed.parameters()));
}

// A step that is replayed corrects for what its own samples weigh, with and without a loss scale, which leaves no
// trace.
TEST_F(Weights, CapturedStepsAndLossScalesCorrectAlike) {
  const auto size = static_cast<std::int64_t>(ranks_.size());
  const Waves samples(
      4 * 6 * size, {.input = {1, 4, 4}, .class_labels = true, .target = {}, .classes = kClasses},
      [](std::int64_t sample) -> std::vector<double> {
        return {static_cast<double>(sample % 3 == 0 ? kIgnored : sample % kClasses)};
      },
      [](std::int64_t sample) -> std::vector<double> { return {static_cast<double>(1 + sample % 7) / 4}; });
  Hyperparameters given = options(0.05);
  given.precision = Precision::kFp32;
  given.batch_size = 6 * size;
  TrainingJob plain = job(samples, given, loss_of(kWeighings[3]), ranks_);
  TrainingJob scaled = job(samples, given, loss_of(kWeighings[3]), ranks_, cpu(), LossScale(64, 1000));
  ReplayingDevice device(true);
  TrainingJob replayed = job(samples, given, loss_of(kWeighings[3]), ranks_, device, LossScale(64, 1000));
  for (int i = 0; i < 10; ++i) {
    const double loss = plain.step().loss;
    EXPECT_EQ(scaled.step().loss, loss) << i;
    EXPECT_EQ(replayed.step().loss, loss) << i;
  }
  EXPECT_EQ(device.replays(), 7);
  EXPECT_TRUE(at::equal(replayed.parameters(), scaled.parameters()));
  EXPECT_TRUE(at::equal(scaled.parameters(), plain.parameters()));  // a power of two
}

// The gradients of nothing say nothing of the loss scale.
TEST_F(Weights, AStepThatWeighsNothingLeavesTheLossScale) {
  const Waves samples = data(kWeighings[0], /*empty=*/true);
  Hyperparameters given = options();
  given.precision = Precision::kFp32;
  TrainingJob some = job(samples, given, loss_of(kWeighings[0]), ranks_, cpu(), LossScale(64, 3));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(some.step().skipped);
  EXPECT_EQ(some.steps().loss_scale()->value(), 64);
  some.step();
  EXPECT_EQ(some.steps().loss_scale()->value(), 128);
}

}  // namespace
}  // namespace lockstep
