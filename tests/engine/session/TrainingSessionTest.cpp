// Whole jobs by the session, on several ranks, without the program lockstep-rank around it.
#include "engine/session/TrainingSession.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/data/BatchPlan.h"
#include "engine/device/CpuDevice.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/RankAlone.h"
#include "tests/support/SharedDirectory.h"

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
    JobConfig config;
    config.host = "here";
    config.output_dir = directory_ / name;
    config.model_dir = directory_ / (name + "/model");
    config.output_data_dir = directory_ / (name + "/data");
    Hyperparameters& options = config.hyperparameters;
    options.data = Data::kSynthetic;
    options.synthetic_samples = kSamples;
    options.model = "mlp";
    options.model_hidden = {8};
    options.model_dropout = 0;
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

  /// Asks to stop at the `step`-th step, on the last rank only.
  StopToken stop_at(int step) {
    return {.requested = [this, asked = 0, step]() mutable { return ++asked >= step && last(); }};
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

/// What an epoch's steps take, one behind the other, in a table of one host.
std::vector<std::string> as_steps_take_them(const std::vector<std::vector<std::string>>& hosts, std::int64_t batch) {
  std::vector<Shards::Holding> holdings;
  for (const auto& rows : hosts) {
    const int number = static_cast<int>(holdings.size());
    holdings.push_back({.host = number, .samples = static_cast<std::int64_t>(rows.size())});
  }
  const Shards shards(holdings);
  const BatchPlan plan(shards, batch, 0);
  std::vector<std::string> all;
  for (std::int64_t step = 0; step < plan.steps(); ++step) {
    for (std::size_t host = 0; host < hosts.size(); ++host) {
      const Slice part = shards.part(host, plan.batch(step));
      for (std::int64_t i = part.begin; i < part.end; ++i) all.push_back(hosts[host][static_cast<std::size_t>(i)]);
    }
  }
  return all;
}

/// Each rank is a host, with a table of its own: the first one's numbers are integers, the second one has no rows, and
/// each has labels that no other has.
class ShardedSessionTest : public TrainingSessionTest {
 protected:
  static constexpr const char* kHeader = "a,b,label\n";

  std::vector<std::string> rows(int host) const {
    std::vector<std::string> rows;
    const int count = host == 0 ? 7 : host == 1 ? 0 : 40;
    for (int i = 0; i < count; ++i) {
      const std::string number = host == 0 ? std::to_string(i % 4) : std::to_string(0.25 * ((i * 7) % 11));
      rows.push_back(number + "," + std::to_string((i * 5) % 3) + "," +
                     (host == 0    ? "z"
                      : i % 2 == 0 ? "m"
                                   : "k") +
                     "\n");
    }
    return rows;
  }
  static void write(const std::filesystem::path& directory, const std::vector<std::string>& rows) {
    std::filesystem::create_directories(directory);
    if (rows.empty()) return;
    std::ofstream file(directory / "part.csv");
    file << kHeader;
    for (const std::string& row : rows) file << row;
  }
  RankContext on_hosts() {
    RankContext each = context();
    each.hosts = communicator_.size();
    each.host_number = communicator_.rank();
    return each;
  }
  /// `name`: of the job; its data is `data`, a directory for each host in it.
  JobConfig sharded(const std::string& name, const std::string& data = "data") {
    JobConfig job = config(name);
    job.host = "host" + std::to_string(communicator_.rank());
    Hyperparameters& options = job.hyperparameters;
    options.data = Data::kFiles;
    options.sharded = {"train", "validation"};
    options.batch_size = 6;
    options.momentum = 0.9;
    for (const char* channel : {"train", "validation"}) {
      const std::string place = data + "/" + channel + std::to_string(communicator_.rank());
      write(directory_ / place, rows(communicator_.rank()));
      job.channels[channel] = directory_ / place;
    }
    return job;
  }
  SessionOutcome run(const JobConfig& job, EventRecorder& events, StopToken stop = {}) {
    TrainingSession session(job, on_hosts(), std::move(stop), events);
    session.prepare();
    return session.run();
  }
  /// `all`: the rows of an epoch, in the order of the job's steps.
  void expect_what_one_host_learns(const JobConfig& job, const EventRecorder& together,
                                   const std::vector<std::string>& all) {
    EXPECT_EQ(all.size(), communicator_.size() == 1 ? 7 : 47);
    write(directory_ / "all", all);
    JobConfig single = config("alone");
    single.hyperparameters = job.hyperparameters;
    for (const auto& [channel, path] : job.channels) single.channels[channel] = directory_ / "all";
    RankAlone one;
    EventRecorder alone;
    TrainingSession session(single, {.device = device_, .communicator = one, .host = one}, {}, alone);
    session.prepare();
    session.run();
    ASSERT_EQ(together.steps.size(), alone.steps.size());
    for (std::size_t i = 0; i < alone.steps.size(); ++i) {
      EXPECT_EQ(together.steps[i].batch_size, alone.steps[i].batch_size);
      EXPECT_NEAR(together.steps[i].loss, alone.steps[i].loss, 1e-12 * std::abs(alone.steps[i].loss)) << i;
    }
    ASSERT_EQ(together.evaluations.size(), alone.evaluations.size());
    for (std::size_t i = 0; i < alone.evaluations.size(); ++i) {
      const Metrics& expected = alone.evaluations[i].metrics;
      ASSERT_EQ(together.evaluations[i].metrics.size(), expected.size());
      for (std::size_t j = 0; j < expected.size(); ++j) {
        EXPECT_NEAR(together.evaluations[i].metrics[j].second, expected[j].second, 1e-12) << expected[j].first;
      }
    }
    const std::vector<RunStarted>& started = together.started;
    ASSERT_EQ(started.at(0).channels.size(), 2);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(started[0].channels[i].samples, alone.started.at(0).channels[i].samples);
      EXPECT_EQ(started[0].channels[i].content, alone.started[0].channels[i].content);
    }
  }
};

TEST_F(ShardedSessionTest, HostsLearnWhatOneLearnsThatHasAllSamples) {
  EventRecorder together;
  JobConfig job = sharded("together");
  job.hyperparameters.shuffle = false;
  run(job, together);
  if (communicator_.rank() > 0) return;
  std::vector<std::vector<std::string>> hosts;
  for (int host = 0; host < communicator_.size(); ++host) hosts.push_back(rows(host));
  expect_what_one_host_learns(job, together, as_steps_take_them(hosts, job.hyperparameters.batch_size));
  EXPECT_EQ(together.noted("channel train: each host has samples of its own (host0 7, host1 0, host2 40)"),
            communicator_.size() == 3);
}

// Two ranks on one host, and one on another.
TEST_F(ShardedSessionTest, HostsMayHaveDifferentNumbersOfRanks) {
  if (communicator_.size() == 1) return;
  JobConfig job = sharded("job");
  job.hyperparameters.shuffle = false;
  job.hyperparameters.micro_batch_size = 2;
  RankContext ranks = on_hosts();
  ranks.hosts = 2;
  if (communicator_.rank() == 1) {
    ranks.host_number = 0;
    for (auto& [channel, path] : job.channels) path = directory_ / ("data/" + channel + "0");
  }
  EventRecorder together;
  TrainingSession session(job, ranks, {}, together);
  session.prepare();
  session.run();
  if (communicator_.rank() > 0) return;
  job.hyperparameters.micro_batch_size = 0;
  expect_what_one_host_learns(job, together, as_steps_take_them({rows(0), rows(2)}, job.hyperparameters.batch_size));
}

TEST_F(ShardedSessionTest, WhatWasStoppedGoesOnThreeTimesAsIfItHadNotBeen) {
  EventRecorder undisturbed;
  run(sharded("whole"), undisturbed);
  JobConfig job = sharded("job");
  job.checkpoint_dir = directory_ / "checkpoints";
  std::vector<double> losses;
  for (const int stop : {1, 4, 2, 1000}) {
    EventRecorder events;
    run(job, events, stop_at(stop));
    for (const double loss : events.losses()) losses.push_back(loss);
  }
  EXPECT_EQ(losses, undisturbed.losses());
  // Other shards are other data.
  const std::vector<std::string> more = {"1,2,z\n", "2,1,z\n"};
  JobConfig other = job;
  for (const char* channel : {"train", "validation"}) {
    if (last()) write(directory_ / ("other/" + std::string(channel)), more);
    if (last()) other.channels[channel] = directory_ / ("other/" + std::string(channel));
  }
  EventRecorder events;
  EXPECT_ERROR(run(other, events), CollectiveError, "data of channel train was");
}

TEST_F(ShardedSessionTest, HostsThatDifferUnaskedAreToldWhatToDo) {
  if (communicator_.size() == 1) return;
  JobConfig job = sharded("job");
  job.hyperparameters.sharded = {};
  if (communicator_.rank() == 1) job.channels = {{"train", directory_ / "data/train0"}, {"validation", "/none"}};
  job.channels.erase("validation");
  EventRecorder events;
  EXPECT_ERROR(run(job, events), CollectiveError, "channel train", "rank 0 on host0 has 7 samples",
               "rank 2 on host2 has 40 samples", "FullyReplicated", "ShardedByS3Key", "sharded=train");
}

TEST_F(ShardedSessionTest, RanksOfAHostMustHaveTheSame) {
  if (communicator_.size() == 1) return;
  RankContext ranks = on_hosts();
  ranks.hosts = 2;
  if (communicator_.rank() == 2) ranks.host_number = 1;
  JobConfig job = sharded("job");
  EventRecorder events;
  TrainingSession session(job, ranks, {}, events);
  EXPECT_ERROR(session.prepare(), CollectiveError, "rank 1 on host1 has 0 samples", "rank 2 on host2 has 40 samples",
               "do the files change?");
}

TEST_F(ShardedSessionTest, HostsThatCannotFitAreNamed) {
  if (communicator_.size() == 1) return;
  JobConfig job = sharded("job");
  const std::filesystem::path own = directory_ / ("odd" + std::to_string(communicator_.rank()));
  std::filesystem::create_directories(own);
  job.channels["train"] = own;
  EventRecorder events;
  EXPECT_ERROR(run(job, events), CollectiveError, "channel train, of which each host has files of its own",
               "no host has any");
  std::ofstream(own / "t.csv") << (last() ? "a,b,c,label\n1,2,3,z\n" : "a,b,label\n1,2,z\n");
  EXPECT_ERROR(run(job, events), CollectiveError, "channel train, of which", "host0 has a (int64)",
               "host2 has a (int64)", "alike");
  std::ofstream(own / "t.csv") << (last() ? "a,b,label\n1,2,z\n" : "a,b,label\n1,2,3\n");
  EXPECT_ERROR(run(job, events), CollectiveError, "the field label holds texts on host2 and numbers on host0");
}

TEST_F(ShardedSessionTest, RanksThatReadOtherChannelsFindOut) {
  if (communicator_.size() == 1) return;
  JobConfig job = sharded("job");
  if (last()) job.channels.erase("validation");
  EventRecorder events;
  EXPECT_ERROR(run(job, events), CollectiveError, "the channels = \"train validation \"", "\"train  \"");
}

}  // namespace
}  // namespace lockstep
