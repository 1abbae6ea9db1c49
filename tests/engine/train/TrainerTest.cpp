// The loop and its keepers, on several ranks.
#include "engine/train/Trainer.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "engine/checkpoint/Checkpoint.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "tests/engine/train/TrainerJob.h"
#include "tests/support/MpiTest.h"
#include "tests/support/ProgramResults.h"
#include "tests/support/RankAlone.h"
#include "tests/support/SharedDirectory.h"

namespace lockstep {
namespace {

constexpr std::int64_t kStepsPerEpoch = TrainerJob::kStepsPerEpoch;

void expect_same_state(const Program& a, const Program& b) {
  const std::vector<StateTensor> left = a.state();
  const std::vector<StateTensor> right = b.state();
  ASSERT_EQ(left.size(), right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    EXPECT_TRUE(at::equal(left[i].tensor, right[i].tensor)) << left[i].name;
  }
}

class TrainerTest : public testing::Test {
 protected:
  RankContext context() { return {.device = device_, .communicator = communicator_, .host = communicator_}; }
  bool last() const { return communicator_.rank() == communicator_.size() - 1; }

  CpuDevice device_{1};
  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
};

TEST_F(TrainerTest, EvaluatesAfterEachEpochAndCountsItsSteps) {
  TrainerJob job(TrainerJob::hyperparameters(), context());
  const TrainingResult result = job.run();
  EXPECT_EQ(result.steps, 3 * kStepsPerEpoch);
  EXPECT_EQ(result.state_epoch, result.state_step / kStepsPerEpoch);
  EXPECT_FALSE(result.stopped);
  EXPECT_FALSE(result.saved);
  ASSERT_EQ(job.events.steps.size(), 3 * kStepsPerEpoch);
  for (std::size_t i = 0; i < job.events.steps.size(); ++i) {
    const StepDone& step = job.events.steps[i];
    EXPECT_EQ(step.global_step, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(step.epoch, static_cast<std::int64_t>(i) / kStepsPerEpoch + 1);
    EXPECT_EQ(step.step, static_cast<std::int64_t>(i) % kStepsPerEpoch + 1);
    EXPECT_EQ(step.batch_size, step.step == kStepsPerEpoch ? 11 : 16);
  }
  ASSERT_EQ(job.events.evaluations.size(), 3);
  EXPECT_EQ(job.events.evaluations[1].epoch, 2);
  EXPECT_EQ(job.events.evaluations[1].global_step, 2 * kStepsPerEpoch);
  EXPECT_EQ(job.events.evaluations[1].metrics.front().first, "validation_loss");
}

// Also where ranks normalize together, which they do once.
TEST_F(TrainerTest, WhatRunsAgainInBackwardLeavesTheSameBits) {
  Hyperparameters options = TrainerJob::hyperparameters();
  options.model_dropout = 0.4;
  options.micro_batch_size = 3;
  for (const Precision precision : {Precision::kFp64, Precision::kBf16, Precision::kFp16}) {
    options.precision = precision;
    for (const bool together : {false, true}) {
      options.sync_batch_norm = together;
      options.recompute = Recompute::kNone;
      const auto go_on = [] { return false; };
      TrainerJob plain(options, context(), nullptr, go_on, /*depth=*/6);
      const TrainingResult expected = plain.run();
      for (const Recompute mode : {Recompute::kAuto, Recompute::kAll}) {
        SCOPED_TRACE(to_string(precision) + ", " + to_string(mode) + (together ? ", together" : ""));
        options.recompute = mode;
        TrainerJob again(options, context(), nullptr, go_on, /*depth=*/6);
        EXPECT_FALSE(recomputation_plan(options, again.trainer().program(), context()).empty());
        const TrainingResult found = again.run();
        EXPECT_EQ(again.events.losses(), plain.events.losses());
        expect_same_state(found.program, expected.program);
      }
    }
  }
}

// As an evaluation's: an epoch in one step is the same mean as an epoch in steps of different weights.
TEST_F(TrainerTest, AnEpochsLossIsTheMeanByWhatItsSamplesWeigh) {
  Hyperparameters options = TrainerJob::hyperparameters();
  options.precision = Precision::kFp64;
  options.model_dropout = 0;
  options.learning_rate = 0;
  options.epochs = 1;
  options.ignore_index = 3;
  options.class_weights = {1, 0.25, 4, 1, 0, 2};
  TrainerJob in_steps(options, context());
  in_steps.run();
  options.batch_size = 75;
  TrainerJob at_once(options, context());
  at_once.run();
  const double loss = at_once.events.steps.at(0).loss;
  EXPECT_NEAR(in_steps.events.evaluations.at(0).train_loss.value(), loss, 1e-12 * loss);
  EXPECT_EQ(at_once.events.evaluations.at(0).train_loss.value(), loss);
}

// Each phase takes some time, and all of them together not more than there was.
TEST_F(TrainerTest, TellsWhereTheTimeOfAStepWent) {
  Hyperparameters options = TrainerJob::hyperparameters();
  options.micro_batch_size = 2;
  TrainerJob job(options, context());
  const auto start = std::chrono::steady_clock::now();
  job.run();
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  StepSeconds sum;
  for (const StepDone& step : job.events.steps) {
    EXPECT_GT(step.seconds.forward, 0);
    EXPECT_GT(step.seconds.backward, 0);
    EXPECT_GT(step.seconds.reduction_wait, 0);
    EXPECT_GT(step.seconds.optimizer, 0);
    EXPECT_GE(step.seconds.data_wait, 0);
    EXPECT_EQ(step.seconds.replay, 0);
    EXPECT_EQ(step.seconds.device_wait, 0);
    sum += step.seconds;
  }
  EXPECT_LT(sum.data_wait + sum.forward + sum.backward + sum.reduction_wait + sum.optimizer, elapsed);
}

TEST_F(TrainerTest, ALimitOfStepsEndsWithinAnEpochAndIsEvaluated) {
  Hyperparameters options = TrainerJob::hyperparameters();
  options.max_steps = kStepsPerEpoch + 2;
  options.eval_every = 10;
  TrainerJob job(options, context());
  const TrainingResult result = job.run();
  EXPECT_EQ(result.steps, kStepsPerEpoch + 2);
  EXPECT_EQ(result.state_epoch, 2);
  ASSERT_EQ(job.events.evaluations.size(), 1);
  EXPECT_EQ(job.events.evaluations[0].global_step, kStepsPerEpoch + 2);
}

TEST_F(TrainerTest, RanksWithoutDataInAStepLearnTheSame) {
  Hyperparameters options = TrainerJob::hyperparameters();
  options.precision = Precision::kFp64;
  options.model_dropout = 0;  // each rank draws its own
  options.batch_size = 37;    // 75 = 37 + 37 + 1: in an epoch's last step one rank has a sample
  const auto trained = [&](const RankContext& context) { return TrainerJob(options, context).run(); };
  const TrainingResult together = trained(context());
  RankAlone one;
  const TrainingResult alone = trained({.device = device_, .communicator = one, .host = one});
  ASSERT_TRUE(together.evaluation && alone.evaluation);
  EXPECT_NEAR(together.evaluation->metric("loss"), alone.evaluation->metric("loss"),
              1e-12 * alone.evaluation->metric("loss"));
  EXPECT_EQ(together.evaluation->metric("accuracy"), alone.evaluation->metric("accuracy"));
}

// The largest loss is the best one here, so the first evaluation's state is kept while training goes on.
TEST_F(TrainerTest, KeepsTheBestStateAsItWas) {
  Hyperparameters options = TrainerJob::hyperparameters();
  options.monitor = {.metric = "loss", .maximize = true};
  TrainerJob job(options, context());
  const TrainingResult result = job.run();
  std::size_t best = 0;
  const auto loss = [&](std::size_t i) { return job.events.evaluations.at(i).metrics.front().second; };
  for (std::size_t i = 1; i < 3; ++i) best = loss(i) > loss(best) ? i : best;
  ASSERT_LT(best, 2) << "the last state is the best: this test tests nothing";
  EXPECT_EQ(result.state_epoch, static_cast<std::int64_t>(best + 1));
  EXPECT_EQ(result.state_step, static_cast<std::int64_t>(best + 1) * kStepsPerEpoch);
  EXPECT_EQ(result.evaluation->metric("loss"), loss(best));

  options.epochs = static_cast<std::int64_t>(best) + 1;
  options.artifact_state = ArtifactState::kLast;
  TrainerJob shorter(options, context());
  expect_same_state(result.program, shorter.run().program);
}

TEST_F(TrainerTest, StopsEarlyWhenNothingImproves) {
  Hyperparameters options = TrainerJob::hyperparameters();
  options.epochs = 20;
  options.learning_rate = 0;
  options.patience = 2;
  TrainerJob job(options, context());
  const TrainingResult result = job.run();
  EXPECT_EQ(job.events.evaluations.size(), 3);
  EXPECT_EQ(result.state_epoch, 1);
  EXPECT_EQ(result.state_step, kStepsPerEpoch);
  EXPECT_TRUE(job.events.noted("stopping early: loss has not improved in 2 evaluations (patience)"));
}

TEST_F(TrainerTest, WritesCheckpointsWhenTheyAreDueAndKeepsTheNewest) {
  SharedDirectory directory(communicator_);
  const CheckpointDirectory checkpoints(directory / "checkpoints", {});
  Hyperparameters options = TrainerJob::hyperparameters();
  options.checkpoint_every.steps = 4;
  options.checkpoint_keep = 2;
  TrainerJob job(options, context(), &checkpoints);
  EXPECT_TRUE(job.run().saved);
  std::vector<std::int64_t> written;
  for (const CheckpointSaved& saved : job.events.checkpoints) written.push_back(saved.global_step);
  const std::vector<std::int64_t> due = {4, 8, 12, 15};
  EXPECT_EQ(written, communicator_.rank() == 0 ? due : std::vector<std::int64_t>()) << "who writes tells";
  std::vector<std::int64_t> kept;
  for (const ListedCheckpoint& listed : checkpoints.list()) kept.push_back(listed.step);
  EXPECT_EQ(kept, (std::vector<std::int64_t>{15, 12}));
}

// After a step within an epoch, after an epoch's last, and with another number of ranks before.
TEST_F(TrainerTest, GoesOnFromACheckpointAsIfNothingHadBeen) {
  SharedDirectory directory(communicator_);
  const CheckpointDirectory checkpoints(directory / "checkpoints", {});
  Hyperparameters options = TrainerJob::hyperparameters();
  options.optimizer = "adamw";
  options.learning_rate = 0.01;
  options.epochs = 2;
  options.checkpoint_every.steps = 1;
  options.checkpoint_keep = 100;
  TrainerJob whole(options, context(), &checkpoints);
  const TrainingResult expected = whole.run();
  for (const std::int64_t step : {std::int64_t{3}, kStepsPerEpoch, kStepsPerEpoch + 1}) {
    const SavedCheckpoint checkpoint = open_checkpoint(checkpoints.path_of(step), checkpoints.files(step));
    TrainerJob job(options, context());
    job.trainer().check(checkpoint);
    job.trainer().restore(checkpoint);
    const TrainingResult result = job.run();
    ASSERT_EQ(static_cast<std::int64_t>(job.events.steps.size()), expected.steps - step);
    std::vector<double> losses = whole.events.losses();
    losses.erase(losses.begin(), losses.begin() + step);
    EXPECT_EQ(job.events.losses(), losses) << step;
    EXPECT_EQ(result.state_step, expected.state_step) << step;
    EXPECT_EQ(result.evaluation->metric("loss"), expected.evaluation->metric("loss")) << step;
    expect_same_state(result.program, expected.program);
  }
}

TEST_F(TrainerTest, AllRanksStopAfterTheSameStep) {
  int asked = 0;
  TrainerJob job(TrainerJob::hyperparameters(), context(), nullptr, [&] { return ++asked >= 7 && last(); });
  const TrainingResult result = job.run();
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(job.events.steps.back().global_step, result.steps);
  std::vector<std::int64_t> all(static_cast<std::size_t>(communicator_.size()));
  communicator_.all_gather(&result.steps, all.data(), 1, DataType::kInt64)->wait();
  EXPECT_EQ(all, std::vector<std::int64_t>(all.size(), all.front()));
}

TEST_F(TrainerTest, ARequestBeforeTheFirstStepMakesNone) {
  TrainerJob job(TrainerJob::hyperparameters(), context(), nullptr, [&] { return last(); });
  const TrainingResult result = job.run();
  EXPECT_TRUE(result.stopped);
  EXPECT_FALSE(result.saved);
  EXPECT_EQ(result.steps, 0);
  EXPECT_TRUE(job.events.steps.empty());
}

// Of the rank whose share is largest, not of all ranks' times: these differ.
TEST_F(TrainerTest, DataWaitIsAShareOfARanksOwnTime) {
  TrainerJob job(TrainerJob::hyperparameters(), context());
  const TrainingResult result = job.run();
  EXPECT_GT(result.data_wait_share, 0);
  EXPECT_LE(result.data_wait_share, 1);
  std::vector<double> all(static_cast<std::size_t>(communicator_.size()));
  communicator_.all_gather(&result.data_wait_share, all.data(), 1, DataType::kFloat64)->wait();
  EXPECT_EQ(all, std::vector<double>(all.size(), all.front()));
}

}  // namespace
}  // namespace lockstep
