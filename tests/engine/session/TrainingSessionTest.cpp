// Whole jobs by the session, on several ranks, without the program lockstep-rank around it.
#include "engine/session/TrainingSession.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/artifacts/ModelCard.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/session/Ending.h"
#include "engine/session/JobData.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/RankAlone.h"
#include "tests/support/SharedDirectory.h"
#include "tests/support/SmallJob.h"

namespace lockstep {
namespace {

constexpr std::int64_t kSamples = 50;
constexpr std::int64_t kBatch = 16;
constexpr std::int64_t kStepsPerEpoch = 4;
constexpr std::int64_t kEpochs = 3;

/// The ranks of this test, and a directory for what they write.
class TrainingSessionTest : public testing::Test {
 protected:
  JobConfig config(const std::string& name) const {
    JobConfig config = small_job(directory_ / name);
    Hyperparameters& options = config.hyperparameters;
    options.data = Data::kSynthetic;
    options.synthetic_samples = kSamples;
    options.batch_size = kBatch;
    options.epochs = kEpochs;
    options.precision = Precision::kFp64;
    options.export_formats = {Export::kSafetensors};
    return config;
  }
  RankContext context() { return {.device = device_, .communicator = communicator_, .host = communicator_}; }
  bool last() const { return communicator_.rank() == communicator_.size() - 1; }

  /// Nothing was told but this, and on rank 0 only.
  void expect_failure(const EventRecorder& events, const std::string& text) const {
    if (communicator_.rank() > 0) {
      EXPECT_TRUE(events.order.empty());
      return;
    }
    EXPECT_EQ(events.order, std::vector<std::string>{"failed"});
    EXPECT_NE(events.failed.at(0).text.find(text), std::string::npos) << events.failed.at(0).text;
  }

  /// Asks to stop at the `step`-th step, on the last rank only; 0: before there is one.
  StopToken stop_at(int step) {
    return {.requested = [this, asked = -1, step]() mutable { return ++asked >= step && last(); }};
  }

  CpuDevice device_{1};
  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  SharedDirectory directory_{communicator_};
};

TEST_F(TrainingSessionTest, TellsRankZeroWhatHappensInItsOrder) {
  EventRecorder events;
  TrainingSession session(config("job"), context(), {}, events);
  session.prepare();
  const SessionOutcome outcome = session.run();
  EXPECT_FALSE(outcome.stopped);
  EXPECT_TRUE(outcome.kept);
  EXPECT_EQ(outcome.steps, kEpochs * kStepsPerEpoch);
  if (communicator_.rank() > 0) {
    EXPECT_TRUE(events.order.empty());
    return;
  }
  std::vector<std::string> expected = {"started"};
  for (std::int64_t i = 0; i < kEpochs; ++i) {
    expected.insert(expected.end(), kStepsPerEpoch, "step");
    expected.emplace_back("evaluated");
  }
  expected.emplace_back("ended");
  EXPECT_EQ(events.order, expected);
  ASSERT_EQ(events.started.size(), 1);
  EXPECT_EQ(events.started[0].ranks, communicator_.size());
  EXPECT_EQ(events.started[0].total_steps, outcome.steps);
  std::int64_t samples = 0;
  for (const StepDone& step : events.steps) samples += step.batch_size;
  EXPECT_EQ(samples, kEpochs * kSamples);
  ASSERT_EQ(events.ended.size(), 1);
  EXPECT_EQ(events.ended[0].state_step, outcome.steps);
  ASSERT_EQ(events.ended[0].artifacts.size(), 1);
  EXPECT_GT(events.ended[0].artifacts[0].bytes, 0);
  EXPECT_TRUE(std::filesystem::exists(events.ended[0].artifacts[0].path));
}

std::int64_t bytes_read() {
  std::ifstream counts("/proc/self/io");
  std::string name;
  std::int64_t bytes = -1;
  counts >> name >> bytes;
  EXPECT_EQ(name, "rchar:");
  return bytes;
}

// Rows that are trained on are copied from mapped memory: what is read is what is gone through.
TEST_F(TrainingSessionTest, TheNextJobFindsTheIndexThatTheFirstHasKept) {
  JobConfig job = config("job");
  job.channels["train"] = directory_ / "train";
  job.hyperparameters.data = Data::kFiles;
  job.hyperparameters.data_index_dir = (directory_ / "indexes").string();
  job.hyperparameters.epochs = 1;
  job.hyperparameters.max_steps = 2;
  if (communicator_.rank() == 0) {
    std::filesystem::create_directories(directory_ / "train");
    std::ofstream file(directory_ / "train/a.csv");
    file << "a,b,target\n";
    for (int i = 0; i < 100'000; ++i)
      file << i % 100 << "." << std::string(90, '2') << "," << i % 7 << "," << i % 3 << "\n";
  }
  communicator_.barrier();
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(directory_ / "train/a.csv"));
  std::vector<std::int64_t> read;
  std::vector<EventRecorder> events(3);
  for (EventRecorder& told : events) {
    if (read.size() == 2) job.hyperparameters.data_index_dir.clear();
    const std::int64_t before = bytes_read();
    TrainingSession session(job, context(), {}, told);
    session.prepare();
    read.push_back(bytes_read() - before);
    session.run();
  }
  EXPECT_LT(read[1], size / 2);
  EXPECT_GT(read[2], size);
  communicator_.all_reduce(&read[0], 1, DataType::kInt64, ReduceOp::kSum)->wait();
  EXPECT_GT(read[0], size);
  EXPECT_LT(read[0], size + communicator_.size() * (size / 2));  // one rank has gone through it
  EXPECT_EQ(events[0].losses(), events[2].losses());
  EXPECT_EQ(events[1].losses(), events[2].losses());
  EXPECT_EQ(events[1].losses().size(), communicator_.rank() == 0 ? 2 : 0);
}

TEST_F(TrainingSessionTest, TellsOfChannelsThatHaveNoUse) {
  EventRecorder events;
  JobConfig job = config("job");
  job.channels = {{"val", directory_ / "val"}, {"weights", directory_ / "weights"}};
  job.hyperparameters.epochs = 1;
  TrainingSession session(job, context(), {}, events);
  session.prepare();
  EXPECT_EQ(events.noted("channels val, weights are not used: train (or training) is trained on"),
            communicator_.rank() == 0);
  job.channels.erase("val");
  const std::filesystem::path file = directory_ / "weights" / "in.safetensors";
  EXPECT_TRUE(describe_unused_channels(job, {}).starts_with("channel weights is not used"));
  job.hyperparameters.initial_weights = file.string();
  EXPECT_EQ(describe_unused_channels(job, {}), "");
}

TEST_F(TrainingSessionTest, RanksTogetherLearnWhatOneLearnsAlone) {
  EventRecorder together;
  TrainingSession session(config("together"), context(), {}, together);
  session.prepare();
  session.run();
  if (communicator_.rank() > 0) return;
  RankAlone one;
  EventRecorder alone;
  TrainingSession single(config("alone"), {.device = device_, .communicator = one, .host = one}, {}, alone);
  single.prepare();
  single.run();
  ASSERT_EQ(together.steps.size(), alone.steps.size());
  for (std::size_t i = 0; i < alone.steps.size(); ++i) {
    EXPECT_NEAR(together.steps[i].loss, alone.steps[i].loss, 1e-12 * std::abs(alone.steps[i].loss)) << i;
  }
  EXPECT_LT(alone.steps.back().loss, alone.steps.front().loss);
}

// Stopped by one rank within an epoch, and gone on from the checkpoint: nothing is lost, and nothing done twice.
TEST_F(TrainingSessionTest, WhatWasStoppedGoesOnAsIfItHadNotBeen) {
  constexpr int kStop = 6;
  EventRecorder undisturbed;
  TrainingSession whole(config("whole"), context(), {}, undisturbed);
  whole.prepare();
  whole.run();

  JobConfig job = config("job");
  job.checkpoint_dir = directory_ / "checkpoints";
  EventRecorder first;
  {
    TrainingSession session(job, context(), stop_at(kStop), first);
    session.prepare();
    const SessionOutcome outcome = session.run();
    EXPECT_TRUE(outcome.stopped);
    EXPECT_TRUE(outcome.kept);
    EXPECT_EQ(outcome.steps, kStop);
  }
  EventRecorder second;
  TrainingSession session(job, context(), {}, second);
  session.prepare();
  EXPECT_FALSE(session.run().stopped);
  if (communicator_.rank() > 0) return;
  EXPECT_TRUE(first.ended.at(0).stopped);
  EXPECT_FALSE(second.ended.at(0).stopped);
  ASSERT_EQ(first.checkpoints.size(), 1);
  EXPECT_EQ(first.checkpoints[0].global_step, kStop);
  EXPECT_TRUE(first.noted("stopped on request after step 6; the checkpoint is complete"));
  EXPECT_TRUE(second.noted("resumed from " + first.checkpoints[0].path.string()));
  std::vector<double> losses = first.losses();
  for (const double loss : second.losses()) losses.push_back(loss);
  EXPECT_EQ(losses, undisturbed.losses());
}

TEST_F(TrainingSessionTest, AStoppedJobThatKeepsNothingSaysSo) {
  JobConfig job = config("job");
  job.hyperparameters.export_formats = {};
  EventRecorder events;
  TrainingSession session(job, context(), stop_at(2), events);
  session.prepare();
  const SessionOutcome outcome = session.run();
  EXPECT_TRUE(outcome.stopped);
  EXPECT_FALSE(outcome.kept);
  if (communicator_.rank() == 0) {
    EXPECT_TRUE(events.noted("nothing is kept"));
  }
}

// What a job leaves that is stopped at so many steps: where its artifacts are, and what is said.
TEST_F(TrainingSessionTest, AStoppedJobLosesNoModelThatIsThere) {
  const JobConfig job = config("job");
  const auto stopped_at = [&](int step, EventRecorder& events) {
    TrainingSession session(job, context(), stop_at(step), events);
    session.prepare();
    return session.run();
  };
  const auto place = [&](const EventRecorder& events) {
    return events.ended.at(0).artifacts.empty() ? std::filesystem::path()
                                                : events.ended[0].artifacts[0].path.parent_path();
  };
  const auto card = [](const std::filesystem::path& directory) { return ModelCard::read(directory).job; };
  EventRecorder none;
  EventRecorder two;
  EventRecorder four;
  EventRecorder three;
  EventRecorder whole;
  EventRecorder again;
  EXPECT_FALSE(stopped_at(0, none).kept);
  for (const auto& [step, events] :
       std::vector<std::pair<int, EventRecorder*>>{{2, &two}, {4, &four}, {3, &three}, {1000, &whole}, {5, &again}}) {
    EXPECT_TRUE(stopped_at(step, *events).kept);
  }
  if (communicator_.rank() > 0) return;
  EXPECT_EQ(place(none), "");
  EXPECT_TRUE(none.steps.empty());
  EXPECT_TRUE(none.noted("stopped on request before the first step: nothing is kept; no artifact is written"));
  EXPECT_EQ(place(two), job.model_dir);
  EXPECT_EQ(place(four), job.model_dir);
  EXPECT_TRUE(four.noted("replace those of step 2 of a job that was stopped"));
  const std::filesystem::path other = job.output_data_dir / kStoppedModel;
  EXPECT_EQ(place(three), other);
  EXPECT_TRUE(three.noted("holds the model of a job that was stopped after step 4, which stays"));
  EXPECT_EQ(place(whole), job.model_dir);
  EXPECT_EQ(place(again), other);
  EXPECT_TRUE(again.noted("holds the model of a job that finished, which stays"));
  EXPECT_EQ(card(job.model_dir)["step"], whole.ended[0].state_step);
  EXPECT_FALSE(card(job.model_dir).contains("stopped"));
  EXPECT_EQ(card(other)["step"], 5);
  EXPECT_EQ(card(other)["stopped"], true);
}

TEST_F(TrainingSessionTest, AJobWithoutAStepLeavesNoCheckpoint) {
  JobConfig job = config("job");
  job.checkpoint_dir = directory_ / "checkpoints";
  EventRecorder events;
  TrainingSession session(job, context(), stop_at(0), events);
  session.prepare();
  const SessionOutcome outcome = session.run();
  EXPECT_TRUE(outcome.stopped);
  EXPECT_FALSE(outcome.kept);
  EXPECT_TRUE(events.checkpoints.empty());
}

// The default precision is that of the program.
TEST_F(TrainingSessionTest, AProgramInFloat64TrainsInFp64) {
  const std::filesystem::path program = directory_ / "in";
  JobConfig writes = config("writes");  // in fp64
  writes.hyperparameters.export_formats = {Export::kPt2};
  writes.model_dir = program;
  EventRecorder events;
  TrainingSession writer(writes, context(), {}, events);
  writer.prepare();
  writer.run();

  JobConfig job = config("job");
  job.hyperparameters.model = (program / "model.pt2").string();
  for (const Precision precision : {Precision::kFp32, Precision::kAuto}) {
    job.hyperparameters.precision = precision;
    EventRecorder told;
    TrainingSession session(job, context(), {}, told);
    session.prepare();
    if (communicator_.rank() > 0) continue;
    EXPECT_EQ(told.started.at(0).precision, Precision::kFp64);
    EXPECT_TRUE(told.noted("precision=fp64: the program is exported in float64"));
  }
  job.given = {"precision"};
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    job.hyperparameters.precision = precision;
    EventRecorder told;
    TrainingSession session(job, context(), {}, told);
    EXPECT_ERROR(session.prepare(), CollectiveError, "precision=" + to_string(precision), "exported in float64",
                 "export it in float32 (model.float()), or give precision=fp64");
  }
}

TEST_F(TrainingSessionTest, WhatOnlyAnEvaluationReadsIsRefusedWithoutOne) {
  for (const auto& [name, set] : std::vector<std::pair<std::string, std::function<void(Hyperparameters&)>>>{
           {"monitor", [](Hyperparameters& h) { h.monitor = {.metric = "accuracy", .maximize = true}; }},
           {"metrics", [](Hyperparameters& h) { h.metrics = {"top5"}; }}}) {
    JobConfig job = config("job");
    set(job.hyperparameters);
    EventRecorder events;
    TrainingSession session(job, context(), {}, events);
    EXPECT_ERROR(session.prepare(), CollectiveError, "hyperparameter " + name + " does nothing in this job",
                 "validation_share");
  }
}

TEST_F(TrainingSessionTest, AJobThatCannotRunIsRefusedOnAllRanks) {
  JobConfig job = config("job");
  job.hyperparameters.patience = 1;
  EventRecorder events;
  TrainingSession session(job, context(), {}, events);
  EXPECT_ERROR(session.prepare(), CollectiveError, "patience does nothing in this job");
  expect_failure(events, "patience does nothing in this job");
}

TEST_F(TrainingSessionTest, RanksOfDifferentJobsFindOutBeforeTheyTouchAnything) {
  if (communicator_.size() == 1) return;
  JobConfig job = config("job");
  job.hyperparameters.learning_rate = last() ? 0.5 : 0.25;
  EventRecorder events;
  TrainingSession session(job, context(), {}, events);
  EXPECT_ERROR(session.prepare(), CollectiveError, "hyperparameter learning_rate");
  expect_failure(events, "hyperparameter learning_rate");
}

/// Breaks at the second step.
class BrokenSink : public EventRecorder {
 public:
  void step_done(const StepDone& event) override {
    EventRecorder::step_done(event);
    if (event.global_step == 2) throw SystemError("the disk is full");
  }
};

TEST_F(TrainingSessionTest, WhatFailsWhileItTrainsIsTold) {
  RankAlone one;
  BrokenSink events;
  TrainingSession session(config("job"), {.device = device_, .communicator = one, .host = one}, {}, events);
  session.prepare();
  EXPECT_ERROR(session.run(), SystemError, "the disk is full");
  EXPECT_EQ(events.order, (std::vector<std::string>{"started", "step", "step", "failed"}));
  EXPECT_EQ(events.failed.at(0).text, "the disk is full");
}

TEST_F(TrainingSessionTest, WritesNothingToStandardOutputOrError) {
  JobConfig job = config("job");
  job.checkpoint_dir = directory_ / "checkpoints";
  EventSink nobody;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  TrainingSession session(job, context(), {}, nobody);
  session.prepare();
  session.run();
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace lockstep
