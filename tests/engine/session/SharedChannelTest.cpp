// Channels of which each host has files of its own, in whole jobs: ranks of one machine stand for hosts.
#include "engine/session/SharedChannel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/data/BatchPlan.h"
#include "engine/device/CpuDevice.h"
#include "engine/session/TrainingSession.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/RankAlone.h"
#include "tests/support/SharedDirectory.h"
#include "tests/support/SmallJob.h"

namespace lockstep {
namespace {

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
class SharedChannelTest : public testing::Test {
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
    return {.device = device_,
            .communicator = communicator_,
            .host = communicator_,
            .hosts = communicator_.size(),
            .host_number = communicator_.rank()};
  }
  bool last() const { return communicator_.rank() == communicator_.size() - 1; }
  /// Asks to stop at the `step`-th step, on the last rank only; 0: before there is one.
  StopToken stop_at(int step) {
    return {.requested = [this, asked = -1, step]() mutable { return ++asked >= step && last(); }};
  }
  JobConfig config(const std::string& name) const {
    JobConfig config = small_job(directory_ / name);
    Hyperparameters& options = config.hyperparameters;
    options.batch_size = 6;
    options.epochs = 3;
    options.momentum = 0.9;
    options.precision = Precision::kFp64;
    options.export_formats = {Export::kSafetensors};
    return config;
  }
  /// `name`: of the job; its data is `data`, a directory for each host in it.
  JobConfig sharded(const std::string& name, const std::string& data = "data") {
    JobConfig job = config(name);
    job.host = "host" + std::to_string(communicator_.rank());
    job.hyperparameters.sharded = {"train", "validation"};
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

  CpuDevice device_{1};
  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  SharedDirectory directory_{communicator_};
};

TEST_F(SharedChannelTest, HostsLearnWhatOneLearnsThatHasAllSamples) {
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
TEST_F(SharedChannelTest, HostsMayHaveDifferentNumbersOfRanks) {
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

TEST_F(SharedChannelTest, WhatWasStoppedGoesOnThreeTimesAsIfItHadNotBeen) {
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

TEST_F(SharedChannelTest, HostsThatDifferUnaskedAreToldWhatToDo) {
  if (communicator_.size() == 1) return;
  JobConfig job = sharded("job");
  job.hyperparameters.sharded = {};
  if (communicator_.rank() == 1) job.channels = {{"train", directory_ / "data/train0"}, {"validation", "/none"}};
  job.channels.erase("validation");
  EventRecorder events;
  EXPECT_ERROR(run(job, events), CollectiveError, "channel train", "rank 0 on host0 has 7 samples",
               "rank 2 on host2 has 40 samples", "FullyReplicated", "ShardedByS3Key", "sharded=train");
}

TEST_F(SharedChannelTest, RanksOfAHostMustHaveTheSame) {
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

TEST_F(SharedChannelTest, HostsThatCannotFitAreNamed) {
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

TEST_F(SharedChannelTest, RanksThatReadOtherChannelsFindOut) {
  if (communicator_.size() == 1) return;
  JobConfig job = sharded("job");
  if (last()) job.channels.erase("validation");
  EventRecorder events;
  EXPECT_ERROR(run(job, events), CollectiveError, "the channels = \"train validation \"", "\"train  \"");
}

}  // namespace
}  // namespace lockstep
