// The loop on devices that execute late, of one rank and of several: steps overlap with the host, and collectives,
// evaluations, checkpoints and the best state read what is not yet computed unless somebody waits for it.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/checkpoint/Checkpoint.h"
#include "engine/device/CpuDevice.h"
#include "tests/engine/train/TrainerJob.h"
#include "tests/support/LateCommunicator.h"
#include "tests/support/LateDevice.h"
#include "tests/support/LoadCheckpoint.h"
#include "tests/support/MpiTest.h"
#include "tests/support/SharedDirectory.h"

namespace lockstep {
namespace {

void expect_same(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) EXPECT_TRUE(at::equal(tensor, b.at(name))) << name;
}

class TrainerLateTest : public testing::TestWithParam<LateDevice::Eager> {
 protected:
  RankContext on_cpu() { return {.device = cpu_, .communicator = host_, .host = host_}; }
  RankContext on_late() { return {.device = late_, .communicator = late_communicator_, .host = host_}; }

  static Hyperparameters options() {
    Hyperparameters options = TrainerJob::hyperparameters();
    options.epochs = 4;
    options.batch_size = 18;  // so that steps of three ranks are captured, too
    options.clip_norm = 0.5;
    options.checkpoint_every.steps = 3;
    options.checkpoint_keep = 100;
    options.passes = {};
    return options;
  }
  void expect_alike(const Hyperparameters& options, int depth = 0);

  CpuDevice cpu_{1};
  LateDevice late_{GetParam()};
  MpiCommunicator host_{mpi_session(), MpiMode::kInline};
  LateCommunicator late_communicator_{mpi_session()};
  SharedDirectory directory_{host_};
};

// On both: losses, evaluations, all checkpoints.
void TrainerLateTest::expect_alike(const Hyperparameters& options, int depth) {
  const auto go_on = [] { return false; };
  const CheckpointDirectory cpu_checkpoints(directory_ / "cpu", {});
  const CheckpointDirectory late_checkpoints(directory_ / "late", {});
  TrainerJob expected(options, on_cpu(), &cpu_checkpoints, go_on, depth);
  const TrainingResult wanted = expected.run();
  TrainerJob job(options, on_late(), &late_checkpoints, go_on, depth);
  const TrainingResult found = job.run();
  EXPECT_TRUE(found.captured);
  EXPECT_EQ(job.events.steps.front().seconds.replay, 0);
  EXPECT_GT(job.events.steps[2 * TrainerJob::kStepsPerEpoch].seconds.replay, 0);
  EXPECT_GT(job.events.steps.front().seconds.device_wait, 0);
  EXPECT_EQ(job.events.losses(), expected.events.losses());
  ASSERT_EQ(job.events.evaluations.size(), expected.events.evaluations.size());
  for (std::size_t i = 0; i < job.events.evaluations.size(); ++i) {
    EXPECT_EQ(job.events.evaluations[i].metrics, expected.events.evaluations[i].metrics) << i;
  }
  EXPECT_EQ(found.state_step, wanted.state_step);
  ASSERT_EQ(job.events.checkpoints.size(), expected.events.checkpoints.size());
  for (const CheckpointSaved& saved : expected.events.checkpoints) {
    const auto read = [&](const CheckpointDirectory& checkpoints) {
      return load(open_as_it_is(checkpoints.path_of(saved.global_step)));
    };
    const Checkpoint left = read(cpu_checkpoints);
    const Checkpoint right = read(late_checkpoints);
    SCOPED_TRACE(saved.global_step);
    expect_same(left.model, right.model);
    expect_same(left.optimizer, right.optimizer);
    expect_same(left.best, right.best);
  }
}

TEST_P(TrainerLateTest, TrainsEvaluatesAndSavesWhatACpuDoes) { expect_alike(options()); }

TEST_P(TrainerLateTest, AveragesWeightsAsACpuDoes) {
  Hyperparameters averaging = options();
  averaging.ema_decay = 0.75;
  averaging.optimizer = "lion";
  averaging.learning_rate = 0.01;
  expect_alike(averaging);
}

TEST_P(TrainerLateTest, MakesMatricesOrthogonalAsACpuDoes) {
  Hyperparameters muon = options();
  muon.optimizer = "muon";
  expect_alike(muon);
}

// Steps are captured with the collectives in them. One rank has none.
TEST_P(TrainerLateTest, NormalizesOverRanksAsACpuDoes) {
  if (host_.size() == 1) return;
  Hyperparameters together = options();
  together.sync_batch_norm = true;
  expect_alike(together);
}

TEST_P(TrainerLateTest, SharesTheOptimizerAsCpusDo) {
  Hyperparameters shared = options();
  shared.shard_optimizer = true;
  shared.optimizer = "adamw";
  shared.ema_decay = 0.75;
  shared.bucket_cap_mb = 5e-4;
  expect_alike(shared);
}

// Captured, what runs again in backward is replayed, too. What draws does not run again.
TEST_P(TrainerLateTest, RunsAgainInBackwardWhatACpuDoes) {
  Hyperparameters again = options();
  again.recompute = Recompute::kAll;
  TrainerJob job(
      again, on_late(), nullptr, [] { return false; }, /*depth=*/6);
  EXPECT_FALSE(recomputation_plan(again, job.trainer().program(), on_late()).empty());
  expect_alike(again, /*depth=*/6);
}

INSTANTIATE_TEST_SUITE_P(Order, TrainerLateTest,
                         testing::Values(LateDevice::Eager::kCopy, LateDevice::Eager::kCompute));

}  // namespace
}  // namespace lockstep
