#include "engine/train/TrainingStep.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/train/NotFinite.h"
#include "engine/train/ParameterStorage.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/PlainSamples.h"
#include "tests/support/ReplayingDevice.h"

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

TrainingStep::Options fp16(LossScale loss_scale) { return {.precision = Precision::kFp16, .loss_scale = loss_scale}; }

Device& cpu() {
  static CpuDevice device(1);
  return device;
}

int this_rank() { return MpiCommunicator(mpi_session(), MpiMode::kInline).rank(); }

/// A job of four steps an epoch.
class Job {
 public:
  Job(const Samples& samples, TrainingStep::Options options, Device& device = cpu(), double dropout = 0)
      : samples_(plain_samples(samples)),
        program_(build_builtin_program(
            "mlp", {.input_shape = {1, 4, 4}, .classes = 2, .channels = {}, .hidden = {8}, .dropout = dropout})),
        executor_(program_),
        parameters_(make_bucket_plan(hyperparameters(), program_), trained_tensors(program_), kRiders),
        reducer_(parameters_, communicator_, communicator_),
        optimizer_(make_optimizer(hyperparameters(), parameters_)),
        step_(device, executor_, make_objective({}, device.place()), parameters_, reducer_, *optimizer_, communicator_,
              communicator_, options),
        loader_(samples_, Order(0, samples_.size(), false), BatchPlan(samples_.size(), kBatch, 0, communicator_.size()),
                communicator_.rank(), 1),
        inputs_(loader_, samples_, device, communicator_) {}

  void start(bool full = true, bool stop = false, bool save = false) {
    const double learning_rate = 0.1 / static_cast<double>(1 + next_);
    step_.start(inputs_, {.batch_size = kBatch,
                          .global_step = next_++,
                          .learning_rate = learning_rate,
                          .stop = stop,
                          .save = save,
                          .full = full});
  }
  TrainingStep::Result finish() { return step_.finish(); }
  TrainingStep::Result step() {
    start();
    return finish();
  }
  /// From now on this rank's gradient of that parameter is not a number.
  void spoil_gradient(const std::string& parameter) {
    for (const StateTensor& entry : program_.trained_parameters()) {
      if (entry.name != parameter) continue;
      entry.tensor.register_hook([](const at::Tensor& gradient) { return gradient.mul(std::nan("")); });
    }
  }
  const TrainingStep& steps() const { return step_; }
  Connection& connection() { return communicator_; }
  double scale() const { return step_.loss_scale()->value(); }
  std::int64_t updates() const { return optimizer_->steps().at(0); }
  at::Tensor parameters() { return parameters_.flat_parameters().clone(); }
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
  static Hyperparameters hyperparameters() { return {}; }

  ProgramSamples samples_;
  Program program_;
  Connection communicator_;
  Executor executor_;
  FlatParameters parameters_;
  GradientReducer reducer_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainingStep step_;
  Loader loader_;
  Prefetcher inputs_;
  std::int64_t next_ = 0;
};

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
  Job job(samples, {});
  for (int i = 0; i < 3; ++i) job.start();
  job.finish();
  EXPECT_ERROR(job.finish(), CollectiveError, "step 2", "loss is nan");
}

// Without clipping and without a loss scale nothing but this looks at the gradient; the loss may stay finite for long.
TEST(TrainingStep, AGradientThatIsNotFiniteIsNamedAndChangesNothing) {
  const Samples samples(-1, 0);
  ReplayingDevice device(true);
  Job plain(samples, {});
  Job replayed(samples, {.capture = true}, device);
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
    TrainingStep::Options options = {.clip_norm = 0.5, .seed = 7};
    if (scaled) options.loss_scale = LossScale(64, 2);
    Job plain(samples, options, cpu(), 0.5);
    options.capture = true;
    ReplayingDevice device(true);
    Job replayed(samples, options, device, 0.5);
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
  Job plain(samples, {});
  Job replayed(samples, {.capture = true}, device);
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
  Job plain(samples, {});
  ReplayingDevice device(true);
  Job replayed(samples, {.capture = true}, device);
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
    Job job(samples, {.capture = true}, device);
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
  Job plain(samples, {});
  const int rank = this_rank();
  ReplayingDevice device(rank != 1);
  Job other(samples, {.capture = true}, device);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(other.step().loss, plain.step().loss);
  EXPECT_TRUE(at::equal(other.parameters(), plain.parameters()));
  EXPECT_EQ(device.replays(), 0);
  EXPECT_EQ(other.steps().capture_failure(), rank == 1 ? "an operator waits for the device" : "another rank could not");
}

}  // namespace
}  // namespace lockstep
