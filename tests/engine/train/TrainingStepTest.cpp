#include "engine/train/TrainingStep.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/train/ParameterStorage.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

constexpr std::int64_t kPixels = 16;
constexpr std::int64_t kBatch = 6;  // two samples a rank

/// Small numbers, but for one pixel of one sample.
class Samples : public Dataset {
 public:
  Samples(std::int64_t odd_sample, float odd_value) : odd_sample_(odd_sample), odd_value_(odd_value) {
    shape_ = {.input = {1, 4, 4}, .class_labels = true, .target = {}, .classes = 2};
  }
  std::int64_t size() const override { return 4 * kBatch; }
  const SampleShape& shape() const override { return shape_; }
  std::string digest() const override { return "samples"; }
  void require_classes(std::int64_t) const override {}
  void read(std::span<const std::int64_t> samples, Precision precision, void* inputs, void* targets) const override {
    ASSERT_NE(precision, Precision::kFp64);
    auto* pixels = static_cast<float*>(inputs);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      for (std::int64_t pixel = 0; pixel < kPixels; ++pixel) {
        *pixels++ = std::sin(static_cast<float>(samples[i] * kPixels + pixel));
      }
      if (samples[i] == odd_sample_) pixels[-1] = odd_value_;
      static_cast<std::int64_t*>(targets)[i] = samples[i] % 2;
    }
  }

 private:
  SampleShape shape_;
  std::int64_t odd_sample_;
  float odd_value_;
};

/// A job of four steps in fp16.
class Job {
 public:
  Job(const Samples& samples, LossScale loss_scale)
      : samples_(samples),
        program_(build_builtin_program(
            "mlp", {.input_shape = {1, 4, 4}, .classes = 2, .channels = {}, .hidden = {8}, .dropout = 0})),
        communicator_(mpi_session(), MpiMode::kInline),
        executor_(program_),
        parameters_(make_bucket_plan(hyperparameters(), program_), tensors()),
        reducer_(parameters_, communicator_),
        optimizer_(make_optimizer(hyperparameters(), parameters_)),
        step_(executor_, Objective(Loss::kCrossEntropy), parameters_, reducer_, *optimizer_, communicator_,
              {.precision = Precision::kFp16, .loss_scale = loss_scale}),
        loader_(samples_, Order(0, samples_.size(), false), BatchPlan(samples_.size(), kBatch, 0, communicator_.size()),
                communicator_.rank(), Precision::kFp16, 1) {}

  TrainingStep::Result step() { return step_.run(loader_, samples_.shape(), kBatch, next_++, 0.1); }
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
  std::vector<at::Tensor> tensors() const {
    std::vector<at::Tensor> tensors;
    for (const StateTensor& entry : program_.trained_parameters()) tensors.push_back(entry.tensor);
    return tensors;
  }

  const Samples& samples_;
  Program program_;
  MpiCommunicator communicator_;
  Executor executor_;
  FlatParameters parameters_;
  GradientReducer reducer_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainingStep step_;
  Loader loader_;
  std::int64_t next_ = 0;
};

// Of the second step's samples 6 to 11, rank 1 has 8 and 9.
constexpr std::int64_t kSampleOfRank1 = 8;

void expect_second_step_skipped(float odd_value, bool loss_is_finite) {
  const Samples samples(kSampleOfRank1, odd_value);
  Job job(samples, LossScale(1024, 2));
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
  Job job(samples, LossScale(1, 2));
  EXPECT_FALSE(job.step().skipped);
  EXPECT_THROW(job.step(), CollectiveError);
}

// The loss scale leaves no trace in what the parameters become.
TEST(TrainingStepFp16, TheLossScaleCancels) {
  const Samples samples(-1, 0);
  Job small(samples, LossScale(64, 100));
  Job large(samples, LossScale(1024, 100));
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(small.step().skipped);
    EXPECT_FALSE(large.step().skipped);
  }
  EXPECT_LE(((small.parameters() - large.parameters()).norm() / large.parameters().norm()).item<double>(), 1e-3);
}

}  // namespace
}  // namespace lockstep
