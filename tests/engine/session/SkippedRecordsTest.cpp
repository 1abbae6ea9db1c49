// Channels with records that cannot be read, and mixtures of channels, in whole jobs.
#include "engine/session/SkippedRecords.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/session/TrainingSession.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/SharedDirectory.h"
#include "tests/support/SmallJob.h"
#include "tests/support/TestRecords.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class SkippedRecordsTest : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& bytes) {
    if (communicator_.rank() == 0) {
      fs::create_directories((directory_ / path).parent_path());
      std::ofstream(directory_ / path, std::ios::binary) << bytes;
    }
    communicator_.barrier();
  }
  static std::string record(int i) {
    return tf_record(example(feature("x", std::vector<float>{static_cast<float>(i % 5), static_cast<float>(i % 3)}) +
                             feature("target", std::vector<std::int64_t>{i % 2})));
  }
  static std::string row(int i) {
    return std::to_string(i % 5) + ".5," + std::to_string(i % 3) + "," + std::to_string(i % 2) + "\n";
  }
  JobConfig job(const std::string& name, const std::string& data, std::int64_t skip = 0) {
    JobConfig config = small_job(directory_ / name);
    config.channels["train"] = directory_ / data;
    config.hyperparameters.batch_size = 4;
    config.hyperparameters.epochs = 2;
    config.hyperparameters.precision = Precision::kFp64;
    config.hyperparameters.export_formats = {};
    config.hyperparameters.skip_bad_records = skip;
    return config;
  }
  void run(const JobConfig& config, EventRecorder& events, bool hosts = false) {
    RankContext context = {.device = device_, .communicator = communicator_, .host = communicator_};
    if (hosts) {
      context.hosts = communicator_.size();
      context.host_number = communicator_.rank();
    }
    TrainingSession session(config, context, {}, events);
    session.prepare();
    session.run();
  }
  std::vector<double> losses(const JobConfig& config) {
    EventRecorder events;
    run(config, events);
    return events.losses();
  }
  bool leads() const { return communicator_.rank() == 0; }

  CpuDevice device_{1};
  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  SharedDirectory directory_{communicator_};
};

TEST_F(SkippedRecordsTest, AJobLearnsWhatTheOtherRecordsHold) {
  std::string good;
  std::string damaged;
  for (int i = 0; i < 30; ++i) {
    std::string bytes = record(i);
    if (i == 0 || i == 11 || i == 29) {
      bytes[20] ^= 1;  // of its data
    } else {
      good += bytes;
    }
    damaged += bytes;
  }
  write("good/a.tfrecord", good);
  write("damaged/a.tfrecord", damaged);
  const std::vector<double> expected = losses(job("whole", "good"));
  EventRecorder events;
  run(job("skips", "damaged", 3), events);
  EXPECT_EQ(events.losses(), expected);
  EXPECT_EQ(events.noted("channel train: 3 records left out, as skip_bad_records says"), leads());
  EXPECT_EQ(events.noted("a.tfrecord, record 1, at byte 0: the checksum of its data"), leads());
  EXPECT_ERROR(run(job("few", "damaged", 2), events), CollectiveError,
               "channel train: at least 3 records cannot be read", "skip_bad_records lets 2 be left out",
               "a.tfrecord, record");
  EXPECT_ERROR(run(job("none", "damaged"), events), CollectiveError, "a.tfrecord, record 1, at byte 0", "checksum");
}

TEST_F(SkippedRecordsTest, WhatIsLeftOfAFileBehindADamagedHeaderIsOneRecord) {
  std::string good;
  for (int i = 0; i < 12; ++i) good += record(i);
  std::string damaged = record(5) + record(6);
  damaged[0] ^= 1;
  write("good/a.tfrecord", good);
  write("damaged/a.tfrecord", good + damaged);
  write("short/a.tfrecord", good + record(3).substr(0, 30));
  const std::vector<double> expected = losses(job("whole", "good"));
  EXPECT_EQ(losses(job("skips", "damaged", 1)), expected);
  EXPECT_EQ(losses(job("short", "short", 1)), expected);
  EventRecorder events;
  EXPECT_ERROR(run(job("none", "short"), events), CollectiveError, "it is truncated");
}

TEST_F(SkippedRecordsTest, RowsOfATableAreLeftOutToo) {
  std::string good = "a,b,target\n";
  std::string damaged = good;
  for (int i = 0; i < 30; ++i) {
    good += row(i);
    damaged += row(i);
    if (i == 3) damaged += "1,2\n";
    if (i == 7) damaged += "1,,0\n";
    if (i == 29) damaged += "1,oops,0\n";
  }
  write("good/a.csv", good);
  write("damaged/a.csv", damaged);
  const std::vector<double> expected = losses(job("whole", "good"));
  EventRecorder events;
  run(job("skips", "damaged", 3), events);
  EXPECT_EQ(events.losses(), expected);
  EXPECT_EQ(events.noted("a.csv, line 6"), leads());
  EXPECT_ERROR(run(job("few", "damaged", 2), events), CollectiveError, "a.csv, line 34");
}

TEST_F(SkippedRecordsTest, RanksAgreeOnHowMany) {
  if (communicator_.size() == 1) return;
  write("good/a.csv", "a,b,target\n1,2,0\n3,4,1\n");
  EventRecorder events;
  EXPECT_ERROR(run(job("differ", "good", communicator_.rank()), events), CollectiveError,
               "the hyperparameter skip_bad_records");
}

TEST_F(SkippedRecordsTest, AChannelWithoutARecordThatCanBeReadIsRefused) {
  std::string bytes = record(0);
  bytes[20] ^= 1;
  write("damaged/a.tfrecord", bytes);
  EventRecorder events;
  EXPECT_ERROR(run(job("none", "damaged", 5), events), CollectiveError, "a.tfrecord");
}

// Each rank is a host.
TEST_F(SkippedRecordsTest, HostsWithFilesOfTheirOwnCountThemTogether) {
  const std::string own = "part" + std::to_string(communicator_.rank());
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += record(i);
  bytes[20] ^= 1;
  fs::create_directories(directory_ / own);
  std::ofstream(directory_ / own / "a.tfrecord", std::ios::binary) << bytes;
  JobConfig config = job("hosts", own, communicator_.size());
  config.hyperparameters.sharded = {"train"};
  EventRecorder events;
  run(config, events, true);
  if (leads()) {
    EXPECT_EQ(events.started.at(0).channels.at(0).samples, 7 * communicator_.size());
  }
  if (communicator_.size() == 1) return;
  config.hyperparameters.skip_bad_records = communicator_.size() - 1;
  EXPECT_ERROR(run(config, events, true), CollectiveError, "at least 3 records");
}

TEST_F(SkippedRecordsTest, MixedChannelsAreOneForAnyNumberOfRanks) {
  std::string rows = "a,b,target\n";
  for (int i = 0; i < 24; ++i) rows += row(i);
  write("data/train/a.csv", rows);
  write("data/more/a.csv", "a,b,target\n9.5,9,1\n8.5,8,0\n");
  JobConfig config = job("mixed", "data/train");
  config.channels["more"] = directory_ / "data/more";
  config.hyperparameters.mixture = {{"train", 0.75}, {"more", 0.25}};
  config.hyperparameters.shuffle = false;
  EventRecorder events;
  run(config, events);
  if (leads()) {
    EXPECT_EQ(events.started.at(0).channels.at(0).samples, 32);
    EXPECT_TRUE(events.noted("train, whose 24 samples come 1 time"));
    EXPECT_TRUE(events.noted("more, whose 2 samples come 4 times"));
  }
  config.hyperparameters.mixture = {{"train", 0.75}, {"other", 0.25}};
  EXPECT_ERROR(run(config, events), CollectiveError, "mixture names the channel \"other\"", "more, train");
  config.hyperparameters.mixture = {{"train", 0.75}, {"more", 0.25}};
  config.channels["validation"] = directory_ / "data/more";
  config.hyperparameters.mixture["validation"] = 1;
  EXPECT_ERROR(run(config, events), CollectiveError, "validation, which is evaluated");
}

}  // namespace
}  // namespace lockstep
