// Channels with records that cannot be read, and mixtures of channels, in whole jobs.
#include "engine/session/SkippedRecords.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/session/TrainingSession.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/ExpectError.h"
#include "tests/support/HostileFiles.h"
#include "tests/support/MpiTest.h"
#include "tests/support/RankAlone.h"
#include "tests/support/SharedDirectory.h"
#include "tests/support/SmallJob.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr int kRecords = 30;

using Files = std::vector<std::pair<std::string, std::string>>;  // name → bytes

/// A format's channel with three records that cannot be read, the last of which may end the file, and the same without
/// them.
struct DamagedChannel {
  std::string format;
  Files good;
  Files damaged;
  std::string told;  ///< of the first
};

constexpr bool is_bad(int i) { return i == 0 || i == 11 || i == kRecords - 1; }

/// One file of records.
DamagedChannel one_file(const std::string& format, const std::string& name, std::string (*record)(int),
                        std::string (*bad)(int), const std::string& told, const Files& beside = {},
                        const std::string& end = "") {
  std::string good;
  std::string damaged;
  for (int i = 0; i < kRecords; ++i) {
    if (!is_bad(i)) good += record(i);
    damaged += is_bad(i) ? bad(i) : record(i);
  }
  DamagedChannel channel = {.format = format, .good = beside, .damaged = beside, .told = told};
  channel.good.emplace_back(name, good + end);
  channel.damaged.emplace_back(name, damaged + end);
  return channel;
}

std::vector<float> numbers(int i) { return {static_cast<float>(i % 5), static_cast<float>(i % 3)}; }

std::string picture(int i) {
  Pixels pixels = test_pixels(2, 3);
  pixels.bytes[0] = static_cast<std::uint8_t>(i);
  return png_of(pixels);
}

std::string name_of(int i) { return (i < 10 ? "0" : "") + std::to_string(i); }

std::string dense_record(int i) {
  const std::string values = wire_field(2, wire_numbers(1, numbers(i)));
  const std::string target = wire_field(7, wire_numbers<std::int32_t>(1, {i % 2}));
  return recordio(wire_entry(1, "x", values) + wire_entry(2, "target", target));
}

std::string packed_picture(int i, float label) {
  return recordio(little_endian(0U) + bytes_of(std::vector{label}) + std::string(16, 'i') + picture(i));
}

std::string arrow_channel(bool damaged) {
  arrow::DoubleBuilder a;
  arrow::DoubleBuilder b;
  arrow::Int64Builder target;
  for (int i = 0; i < kRecords; ++i) {
    if (is_bad(i) && !damaged) continue;
    must(is_bad(i) && i != 11 ? a.AppendNull() : a.Append(i % 5));
    must(b.Append(i % 3));
    must(is_bad(i) && i == 11 ? target.AppendNull() : target.Append(i % 2));
  }
  const auto table = arrow_table({{"a", must(a.Finish())}, {"b", must(b.Finish())}, {"target", must(target.Finish())}});
  return arrow_file(*table, 7, false);
}

Files image_files(const std::string& directory, bool damaged) {
  Files files;
  for (int i = 0; i < kRecords; ++i) {
    if (is_bad(i) && !damaged) continue;
    const std::string kind = directory.empty() ? (i % 2 == 0 ? "even" : "odd") : directory;
    files.emplace_back(kind + "/" + name_of(i) + ".png", picture(i).substr(0, is_bad(i) ? 50 : std::string::npos));
  }
  return files;
}

std::vector<DamagedChannel> damaged_channels() {
  const auto line = [](int i) {
    return "{\"x\": [" + std::to_string(i % 5) + ", 1], \"target\": " + std::to_string(i % 2) + "}\n";
  };
  const auto bad_line = [](int i) {
    return std::string(i == 0    ? "{\"x\": [1, 2]}\n"
                       : i == 11 ? "{\"x\": [1, 2], \"target\": \n"
                                 : "{\"x\": [1, 2], \"target\": 1");
  };
  const auto bad_message = [](int i) {
    return i == kRecords - 1 ? dense_record(i).substr(0, 30)
                             : recordio(wire_entry(1, "x", wire_field(2, std::string(3, '\xff'))));
  };
  const auto bad_picture = [](int i) {
    return i == kRecords - 1 ? std::string(40, 'x') : packed_picture(i, i == 0 ? 0.5F : -1);
  };
  const auto listed = [](int i) {
    return std::to_string(i) + "\t" + std::to_string(i % 2) + "\t" + name_of(i) + ".png\n";
  };
  const auto bad_listed = [](int i) {
    return std::string(i == 0 ? "0\t1\tnone.png\n" : i == 11 ? "11\t0.5\t11.png\n" : "29\t1\n");
  };
  const auto in_manifest = [](int i) {
    return "{\"source-ref\": \"s3://b/" + name_of(i) + ".png\", \"target\": " + std::to_string(i % 2) + "}\n";
  };
  const auto bad_in_manifest = [](int i) {
    return std::string(i == 0    ? "{\"source-ref\": \"s3://b/none.png\", \"target\": 1}\n"
                       : i == 11 ? "{\"source-ref\": \"s3://b/11.png\", \"target\": \"cat\"}\n"
                                 : "{\"target\": 1");
  };
  const auto members = [](int i) {
    return tar_member(name_of(i) + ".png", picture(i)) + tar_member(name_of(i) + ".cls", std::to_string(i % 2));
  };
  const auto bad_members = [](int i) {
    return i == 0    ? tar_member("00.png", picture(0))
           : i == 11 ? tar_member("11.png", picture(11)) + tar_member("11.cls", "cat")
                     : tar_member("29.cls", "1");
  };
  const auto cifar = [](int i) { return static_cast<char>(i % 2) + std::string(3072, static_cast<char>(i)); };
  const auto bad_cifar = [](int i) { return static_cast<char>(10 + i) + std::string(3072, '\0'); };
  Files pictures;
  for (int i = 0; i < kRecords; ++i) pictures.emplace_back(name_of(i) + ".png", picture(i));
  return {one_file("JSON lines", "a.jsonl", line, bad_line, "a.jsonl, line 1"),
          {"Arrow", {{"a.arrow", arrow_channel(false)}}, {{"a.arrow", arrow_channel(true)}}, "a.arrow, row 1"},
          one_file("RecordIO", "a.pbr", dense_record, bad_message, "a.pbr, record 1, at byte 0"),
          one_file(
              "image RecordIO", "a.rec", [](int i) { return packed_picture(i, static_cast<float>(i % 2)); },
              bad_picture, "a.rec, record 1, at byte 0: its image has the label 0.5"),
          {"image folder", image_files("", false), image_files("", true), "even/00.png: the PNG image is damaged"},
          one_file("image list", "a.lst", listed, bad_listed, "a.lst, line 1: the list names \"none.png\"", pictures),
          one_file("image manifest", "a.manifest", in_manifest, bad_in_manifest,
                   "a.manifest, line 1: the augmented manifest names \"s3://b/none.png\"", pictures),
          one_file("WebDataset", "a.tar", members, bad_members, "a.tar: the sample \"00\" at byte 512 has no label", {},
                   tar_end()),
          one_file("CIFAR", "data_batch_1.bin", cifar, bad_cifar,
                   "data_batch_1.bin, at byte 0: the label is 10; expected 0 … 9")};
}

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
  /// What one rank alone learns; on rank 0.
  std::vector<double> losses_alone(const JobConfig& config) {
    EventRecorder events;
    if (leads()) {
      RankAlone one;
      TrainingSession session(config, {.device = device_, .communicator = one, .host = one}, {}, events);
      session.prepare();
      session.run();
    }
    communicator_.barrier();
    return events.losses();
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

// With one sample a step, sums over ranks are the same bits for any number of ranks.
TEST_F(SkippedRecordsTest, AnyNumberOfRanksLeavesOutTheSame) {
  for (const DamagedChannel& channel : damaged_channels()) {
    SCOPED_TRACE(channel.format);
    for (const auto& [name, bytes] : channel.good) write(channel.format + "/good/" + name, bytes);
    for (const auto& [name, bytes] : channel.damaged) write(channel.format + "/damaged/" + name, bytes);
    const auto one_each = [&](const std::string& name, const std::string& data, std::int64_t skip) {
      JobConfig config = job(name, channel.format + "/" + data, skip);
      config.hyperparameters.batch_size = 1;
      config.hyperparameters.epochs = 1;
      return config;
    };
    const std::vector<double> expected = losses_alone(one_each("whole", "good", 0));
    EXPECT_EQ(expected.size(), leads() ? kRecords - 3 : 0);
    EventRecorder events;
    run(one_each("skips", "damaged", 3), events);
    EXPECT_EQ(events.losses(), expected);
    EXPECT_EQ(events.noted("3 records left out, as skip_bad_records says: "), leads());
    EXPECT_EQ(events.noted(channel.told), leads());
    EXPECT_ERROR(run(one_each("few", "damaged", 2), events), CollectiveError, "skip_bad_records");
    EXPECT_ERROR(run(one_each("none", "damaged", 0), events), CollectiveError,
                 channel.told.substr(0, channel.told.find(",")));
  }
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
  EXPECT_ERROR(run(config, events, true), CollectiveError,
               "at least " + std::to_string(communicator_.size()) + " records");
}

TEST_F(SkippedRecordsTest, MixedChannelsAreOneForAnyNumberOfRanks) {
  std::string rows = "a,b,target\n";
  for (int i = 0; i < 24; ++i) rows += row(i);
  write("data/train/a.csv", rows);
  write("data/more/a.csv", "a,b,target\n9.5,9,1\n8.5,8,0\n");
  JobConfig config = job("mixed", "data/train");
  config.channels["more"] = directory_ / "data/more";
  config.hyperparameters.mixture = {{"train", 0.75}, {"more", 0.25}};
  config.hyperparameters.batch_size = 1;  // the same bits for any number of ranks
  EventRecorder events;
  run(config, events);
  EXPECT_EQ(events.losses(), losses_alone(config));
  if (leads()) {
    EXPECT_EQ(events.losses().size(), 2 * 32);
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
