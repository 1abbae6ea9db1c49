#include "engine/train/TrainingStep.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/train/NotFinite.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/ReplayingDevice.h"
#include "tests/support/TrainingJob.h"

namespace lockstep {
namespace {

constexpr std::int64_t kPixels = 16;
constexpr std::int64_t kBatch = 6;  // two samples a rank

/// Small numbers, but for one pixel of one sample.
class Samples : public Dataset {
 public:
  Samples(std::int64_t odd_sample, float odd_value) : odd_sample_(odd_sample), odd_value_(odd_value) {
    spec_.fields = {{.name = "x", .sizes = {1, 4, 4}}, {.name = "y", .type = ElementType::kInt64, .bound = 2}};
  }
  std::int64_t size() const override { return 4 * kBatch; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return "samples"; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    auto* pixels = reinterpret_cast<float*>(fields[0]);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      for (std::int64_t pixel = 0; pixel < kPixels; ++pixel) {
        *pixels++ = std::sin(static_cast<float>(samples[i] * kPixels + pixel));
      }
      if (samples[i] == odd_sample_) pixels[-1] = odd_value_;
      reinterpret_cast<std::int64_t*>(fields[1])[i] = samples[i] % 2;
    }
  }

 private:
  SampleSpec spec_;
  std::int64_t odd_sample_;
  float odd_value_;
};

/// One whose connection fails when the test says so.
class Connection : public MpiCommunicator {
 public:
  Connection() : MpiCommunicator(mpi_session(), MpiMode::kInline) {}
  void check() override {
    if (failed) throw PeerError("the connection has failed");
  }
  bool failed = false;
};

Device& cpu() {
  static CpuDevice device(1);
  return device;
}

int this_rank() { return MpiCommunicator(mpi_session(), MpiMode::kInline).rank(); }

struct JobOptions {
  double clip_norm = 0;
  double dropout = 0;
  std::optional<LossScale> loss_scale{};
  Precision precision = Precision::kFp32;
};

/// A job of four steps an epoch, whose learning rate falls.
class Job {
 public:
  explicit Job(const Samples& samples, const JobOptions& options = {}, Device& device = cpu())
      : job_({.dataset = samples,
              .device = device,
              .communicator = communicator_,
              .outputs = 2,
              .dropout = options.dropout},
             {.batch_size = kBatch,
              .eval_batch_size = kBatch,
              .clip_norm = options.clip_norm,
              .precision = options.precision,
              .seed = 7},
             make_objective({}, device.place()), options.loss_scale) {}

  void start(bool full = true, bool stop = false, bool save = false) {
    job_.start([&](TrainingStep::Step& step) {
      step.learning_rate = 0.1 / static_cast<double>(1 + step.global_step);
      step.stop = stop;
      step.save = save;
      step.full = full;
    });
  }
  TrainingStep::Result finish() { return job_.finish(); }
  TrainingStep::Result step() {
    start();
    return finish();
  }
  /// From now on this rank's gradient of that parameter is not a number.
  void spoil_gradient(const std::string& parameter) {
    for (const StateTensor& entry : job_.program().trained_parameters()) {
      if (entry.name != parameter) continue;
      entry.tensor.register_hook([](const at::Tensor& gradient) { return gradient.mul(std::nan("")); });
    }
  }
  const TrainingStep& steps() const { return job_.steps(); }
  Connection& connection() { return communicator_; }
  double scale() const { return steps().loss_scale()->value(); }
  std::int64_t updates() const { return job_.updates(); }
  at::Tensor parameters() { return job_.parameters().clone(); }
  bool ranks_agree() {
    at::Tensor largest = parameters();
    at::Tensor smallest = -parameters();
    for (at::Tensor* values : {&largest, &smallest}) {
      communicator_
          .all_reduce(values->mutable_data_ptr<float>(), static_cast<std::size_t>(values->numel()), DataType::kFloat32,
                      ReduceOp::kMax)
          ->wait();
    }
    return at::equal(largest, -smallest);
  }

 private:
  Connection communicator_;
  TrainingJob job_;
};

JobOptions fp16(LossScale loss_scale) { return {.loss_scale = loss_scale, .precision = Precision::kFp16}; }

// Of the second step's samples 6 to 11, rank 1 has 8 and 9.
constexpr std::int64_t kSampleOfRank1 = 8;

void expect_second_step_skipped(float odd_value, bool loss_is_finite) {
  const Samples samples(kSampleOfRank1, odd_value);
  Job job(samples, fp16(LossScale(1024, 2)));
  EXPECT_FALSE(job.step().skipped);
  const at::Tensor before = job.parameters();
  const TrainingStep::Result second = job.step();
  EXPECT_TRUE(second.skipped);
  EXPECT_EQ(std::isfinite(second.loss), loss_is_finite);
  EXPECT_EQ(job.scale(), 512);
  EXPECT_TRUE(at::equal(job.parameters(), before));
  EXPECT_EQ(job.updates(), 1);
  EXPECT_FALSE(job.step().skipped);
  EXPECT_FALSE(at::equal(job.parameters(), before));
  EXPECT_FALSE(job.step().skipped);
  EXPECT_EQ(job.scale(), 1024);  // two steps without overflow
  EXPECT_EQ(job.updates(), 3);
  EXPECT_TRUE(job.ranks_agree());
}

TEST(TrainingStepFp16, AnInfinityOnOneRankMakesAllSkipAndHalve) {
  expect_second_step_skipped(std::numeric_limits<float>::infinity(), false);
}

TEST(TrainingStepFp16, AGradientThatOverflowsOnOneRankMakesAllSkipAndHalve) { expect_second_step_skipped(30000, true); }

TEST(TrainingStepFp16, EndsWhenNoLossScaleHelps) {
  const Samples samples(kSampleOfRank1, std::numeric_limits<float>::quiet_NaN());
  Job job(samples, fp16(LossScale(1, 2)));
  EXPECT_FALSE(job.step().skipped);
  EXPECT_THROW(job.step(), CollectiveError);
}

// The loss scale leaves no trace in what the parameters become.
TEST(TrainingStepFp16, TheLossScaleCancels) {
  const Samples samples(-1, 0);
  Job small(samples, fp16(LossScale(64, 100)));
  Job large(samples, fp16(LossScale(1024, 100)));
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(small.step().skipped);
    EXPECT_FALSE(large.step().skipped);
  }
  EXPECT_LE(((small.parameters() - large.parameters()).norm() / large.parameters().norm()).item<double>(), 1e-3);
}

TEST(TrainingStep, OutcomesMayComeLate) {
  const Samples samples(-1, 0);
  Job prompt(samples, {.clip_norm = 0.5});
  Job late(samples, {.clip_norm = 0.5});
  std::vector<double> losses;
  for (int i = 0; i < 4; ++i) losses.push_back(prompt.step().loss);
  late.start();
  for (int i = 0; i < 4; ++i) {
    if (i < 3) late.start();
    EXPECT_EQ(late.finish().loss, losses[static_cast<std::size_t>(i)]);
  }
  EXPECT_TRUE(at::equal(late.parameters(), prompt.parameters()));
  EXPECT_NE(losses[0], losses[1]);
}

TEST(TrainingStep, DivergenceNamesItsOwnStepAlsoWhenItComesLate) {
  const Samples samples(kSampleOfRank1, std::numeric_limits<float>::quiet_NaN());
  Job job(samples);
  for (int i = 0; i < 3; ++i) job.start();
  job.finish();
  EXPECT_ERROR(job.finish(), CollectiveError, "step 2", "loss is nan");
}

// Without clipping and without a loss scale nothing but this looks at the gradient; the loss may stay finite for long.
TEST(TrainingStep, AGradientThatIsNotFiniteIsNamedAndChangesNothing) {
  const Samples samples(-1, 0);
  ReplayingDevice device(true);
  Job plain(samples);
  Job replayed(samples, {}, device);
  for (Job* job : {&plain, &replayed}) {
    for (int i = 0; i < 4; ++i) job->step();
    const at::Tensor before = job->parameters();
    if (this_rank() == 1) job->spoil_gradient("fc2.weight");
    EXPECT_ERROR(job->step(), NotFiniteError, "step 5: the gradient of fc2.weight is not finite");
    EXPECT_TRUE(at::equal(job->parameters(), before));
    EXPECT_EQ(job->updates(), 4);
  }
  EXPECT_EQ(device.replays(), 2);
}

// Learning rate, samples, dropout and the loss scale change from step to step; what is replayed follows them.
TEST(TrainingStep, ReplayedStepsAreTheSameSteps) {
  const Samples samples(-1, 0);
  for (const bool scaled : {false, true}) {
    JobOptions options = {.clip_norm = 0.5, .dropout = 0.5};
    if (scaled) options.loss_scale = LossScale(64, 2);
    Job plain(samples, options);
    ReplayingDevice device(true);
    Job replayed(samples, options, device);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(replayed.step().loss, plain.step().loss) << i;
    EXPECT_TRUE(at::equal(replayed.parameters(), plain.parameters()));
    EXPECT_TRUE(replayed.steps().captured());
    EXPECT_FALSE(plain.steps().captured());
    EXPECT_EQ(device.replays(), 5);  // after three that prepare
  }
}

// Whichever rank asks, in whichever step: all learn it with the outcome of that step, also when it is replayed.
TEST(TrainingStep, AllLearnThatOneWantsToStopOrToSave) {
  const Samples samples(-1, 0);
  const int rank = this_rank();
  ReplayingDevice device(true);
  Job plain(samples);
  Job replayed(samples, {}, device);
  for (int i = 0; i < 8; ++i) {
    const bool stop = i % 4 == 1;
    const bool save = i % 4 >= 1 && i % 4 <= 2;
    for (Job* job : {&plain, &replayed}) {
      job->start(true, stop && rank == 1, save && rank != 0);
      const TrainingStep::Result result = job->finish();
      EXPECT_EQ(result.stop, stop) << i;
      EXPECT_EQ(result.save, save) << i;
    }
  }
  EXPECT_GT(device.replays(), 0);
  EXPECT_TRUE(at::equal(replayed.parameters(), plain.parameters()));
}

TEST(TrainingStep, StepsThatAreNotFullRunBetweenReplays) {
  const Samples samples(-1, 0);
  Job plain(samples);
  ReplayingDevice device(true);
  Job replayed(samples, {}, device);
  for (int i = 0; i < 8; ++i) {
    plain.step();
    replayed.start(/*full=*/i % 3 != 2);
    replayed.finish();
  }
  EXPECT_TRUE(at::equal(replayed.parameters(), plain.parameters()));
  EXPECT_EQ(device.replays(), 3);  // of steps 4, 6 and 7
}

// A captured step makes no call of NCCL that would notice, and NCCL does not come back from an abort while one is
// there.
TEST(TrainingStep, NothingIsReplayedOverAFailedConnectionAndNothingCapturedIsLeft) {
  const Samples samples(-1, 0);
  for (const bool in_flight : {false, true}) {
    ReplayingDevice device(true);
    Job job(samples, {}, device);
    for (int i = 0; i < 5; ++i) job.step();
    EXPECT_EQ(device.replays(), 2);
    EXPECT_TRUE(device.holds_captured_work());
    const at::Tensor before = job.parameters();
    if (in_flight) job.start();
    job.connection().failed = true;
    if (in_flight) {
      EXPECT_ERROR(job.finish(), PeerError, "has failed");
    } else {
      EXPECT_ERROR(job.start(), PeerError, "has failed");
      EXPECT_EQ(device.replays(), 2);
      EXPECT_TRUE(at::equal(job.parameters(), before));
    }
    EXPECT_FALSE(device.holds_captured_work());
  }
}

TEST(TrainingStep, AllRunWithoutCaptureWhenOneCannotAndSayWhy) {
  const Samples samples(-1, 0);
  Job plain(samples);
  const int rank = this_rank();
  ReplayingDevice device(rank != 1);
  Job other(samples, {}, device);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(other.step().loss, plain.step().loss);
  EXPECT_TRUE(at::equal(other.parameters(), plain.parameters()));
  EXPECT_EQ(device.replays(), 0);
  EXPECT_EQ(other.steps().capture_failure(), rank == 1 ? "an operator waits for the device" : "another rank could not");
}

}  // namespace
}  // namespace lockstep
