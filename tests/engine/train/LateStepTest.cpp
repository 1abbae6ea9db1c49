// Steps and evaluations on a device that executes late, whose memory is counted.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/device/CpuDevice.h"
#include "tests/support/ExpectError.h"
#include "tests/support/LateDevice.h"
#include "tests/support/RankAlone.h"
#include "tests/support/TrainingJob.h"

namespace lockstep {
namespace {

constexpr std::int64_t kBatch = 1024;
constexpr std::int64_t kLast = 1000;
constexpr std::int64_t kSteps = 5;  ///< of an epoch; the last is short

/// Of one rank.
class Job {
 public:
  explicit Job(Device& device)
      : job_({.dataset = samples_,
              .device = device,
              .communicator = communicator_,
              .outputs = 6,
              .hidden = {64, 64},
              .dropout = 0.25},
             options(), make_objective({}, device.place())) {}

  void start() { job_.start(); }
  double finish() { return job_.finish().loss; }
  Evaluation evaluate() { return job_.evaluate(samples_).value(); }
  at::Tensor parameters() { return job_.parameters(); }
  RankAlone& communicator() { return communicator_; }
  bool captured() const { return job_.steps().captured(); }

 private:
  static Hyperparameters options() {
    return {.batch_size = kBatch, .eval_batch_size = kBatch, .learning_rate = 0.1, .clip_norm = 0.5};
  }

  Waves samples_{(kSteps - 1) * kBatch + kLast,
                 {.input = {1, 4, 4}, .class_labels = true, .target = {}, .classes = 6},
                 [](std::int64_t sample) -> std::vector<double> { return {static_cast<double>(sample % 6)}; }};
  RankAlone communicator_;
  TrainingJob job_;
};

// In either order of the streams: eager steps, captured ones, short ones and evaluations between them.
TEST(LateStep, ComputesWhatACpuComputes) {
  for (const LateDevice::Eager eager : {LateDevice::Eager::kCopy, LateDevice::Eager::kCompute}) {
    CpuDevice cpu(1);
    LateDevice device(eager);
    Job expected(cpu);
    Job late(device);
    for (int i = 0; i < 2 * kSteps + 2; ++i) {
      expected.start();
      const double loss = expected.finish();
      late.start();
      EXPECT_EQ(late.finish(), loss) << i;
      if (i % kSteps < kSteps - 1) continue;
      const Evaluation wanted = expected.evaluate();
      const Evaluation found = late.evaluate();
      EXPECT_EQ(found.values(), wanted.values());
      EXPECT_EQ(found.values().size(), 3);
    }
    EXPECT_TRUE(late.captured());
    EXPECT_TRUE(at::equal(late.parameters(), expected.parameters()));
  }
}

/// Another loss, of the outputs after some change.
class OfChanged : public Loss {
 public:
  using Change = std::function<at::Tensor(const at::Tensor& output)>;
  OfChanged(std::shared_ptr<const Loss> loss, Change change) : loss_(std::move(loss)), change_(std::move(change)) {}

  bool class_labels() const override { return loss_->class_labels(); }
  std::int64_t positions(const at::Tensor& output) const override { return loss_->positions(change_(output)); }
  LossTerms terms(const at::Tensor& output, const at::Tensor& targets, const at::Tensor& weights) const override {
    return loss_->terms(change_(output), targets, weights);
  }

 private:
  std::shared_ptr<const Loss> loss_;
  Change change_;
};

// Their host neither waits nor copies in a step.
TEST(LateStep, EachLossCanBeCaptured) {
  struct Case {
    Hyperparameters options;
    std::vector<double> targets;  // of each sample
    std::vector<std::int64_t> sizes;
    OfChanged::Change change = [](const at::Tensor& output) { return output; };
  };
  const auto viewed = [](std::vector<std::int64_t> sizes) {
    return [sizes](const at::Tensor& output) { return output.view(sizes); };
  };
  const std::vector<double> shares = {0.5, 0.25, 0, 0, 0, 0.25};
  const std::vector<Case> cases = {
      {{.loss = "cross_entropy", .class_weights = {1, 2, 3, 4, 5, 6}}, shares, {6}},
      {{.loss = "mse"}, shares, {6}},
      {{.loss = "mae"}, shares, {6}},
      {{.loss = "huber", .huber_delta = 0.1}, shares, {6}},
      {{.loss = "poisson_nll"}, shares, {6}},
      {{.loss = "binary_cross_entropy", .ignore_index = 255, .positive_weights = {1, 2, 3, 4, 5, 6}},
       {1, 0, 255, 0.5, 0, 1},
       {6}},
      {{.loss = "next_token"}, {1, 0, 1}, {3}, viewed({-1, 3, 2})},
      {{.loss = "gaussian_nll"},
       {1, 0, 1},
       {3},
       [](const at::Tensor& output) {
         return output.exp().view({-1, 3, 2});
       }},
      {{.loss = "cosine_embedding", .cosine_margin = 0.1}, {-1}, {}, viewed({-1, 2, 3})}};
  for (const Case& test : cases) {
    SCOPED_TRACE(test.options.loss);
    Hyperparameters options = test.options;
    options.batch_size = options.eval_batch_size = 16;
    options.learning_rate = 0.1;
    const Waves samples(
        64, {.input = {1, 4, 4}, .class_labels = options.loss == "next_token", .target = test.sizes, .classes = 2},
        [&](std::int64_t) { return test.targets; });
    RankAlone alone;
    const auto job = [&](Device& device) {
      const auto loss = std::make_shared<OfChanged>(
          built_in_losses().find(options.loss, "loss").make(options, device.place()), test.change);
      return TrainingJob({.dataset = samples, .device = device, .communicator = alone, .outputs = 6}, options,
                         Objective(loss, {}));
    };
    CpuDevice cpu(1);
    LateDevice device;
    TrainingJob expected = job(cpu);
    TrainingJob late = job(device);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(late.step().loss, expected.step().loss) << i;
    EXPECT_TRUE(late.steps().captured()) << late.steps().capture_failure();
    EXPECT_TRUE(at::equal(late.parameters(), expected.parameters()));
  }
}

// What a captured step computes in lies idle between replays: the short last step and the evaluation of an epoch find
// their memory there, so that the first epoch's end is not the end of the job.
TEST(LateStep, AnEpochsEndNeedsNoMoreMemoryThanItsCapturedSteps) {
  LateDevice device;
  Job job(device);
  for (int i = 0; i < kSteps - 1; ++i) {
    job.start();
    job.finish();
  }
  ASSERT_TRUE(job.captured());
  const std::int64_t before = device.peak_memory();
  job.start();
  job.finish();
  job.evaluate();
  EXPECT_LE(static_cast<double>(device.peak_memory()), 1.1 * static_cast<double>(before));
}

// What lies idle is given back before a capture, which waits for the device, which may wait for a rank that is silent.
TEST(LateStep, ACaptureDoesNotWaitForEver) {
  LateDevice device;
  Job job(device);
  for (int i = 0; i < 3; ++i) job.start();
  LateDevice::get_stuck();
  job.communicator().fail_after(20);
  EXPECT_ERROR(job.start(), PeerError, "gone");
}

// Each read would keep the host from enqueuing the next batch, and wait without a deadline.
TEST(LateStep, AnEvaluationReadsItsSumsOnce) {
  LateDevice device;
  Job job(device);
  job.start();
  job.finish();
  static std::atomic<int> reads;
  reads = 0;
  const auto handle = at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction& function) {
    if (function.name() == std::string("aten::item")) ++reads;
    return std::unique_ptr<at::ObserverContext>();
  }));
  job.evaluate();
  at::removeCallback(handle);
  EXPECT_EQ(reads, 0);
}

}  // namespace
}  // namespace lockstep
