// Columns that become fields, and a share that is held back, in whole jobs.
#include "engine/session/DescribedFields.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/session/LoadedJob.h"
#include "engine/session/TrainingSession.h"
#include "job/Json.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/RankAlone.h"
#include "tests/support/SharedDirectory.h"
#include "tests/support/SmallJob.h"
#include "tests/support/TestRecords.h"

namespace lockstep {
namespace {

constexpr const char* kFields = R"({
  "x": [{"columns": ["age", "height"], "normalize": "standard", "fill": "mean"},
        {"column": "code", "encode": "one_hot"}, {"column": "city", "encode": "one_hot"}],
  "target": {"column": "class", "labels": ["dog", "cat"]}})";

class DescribedFieldsTest : public testing::Test {
 protected:
  static constexpr int kRows = 90;

  static std::string row(int i) {
    const char* const cities[] = {"rome", "bern", "oslo"};
    return (i % 7 == 3 ? std::string() : format("%.17g", 1e6 + std::exp(i % 13) / 3)) + "," +
           format("%.17g", std::sin(i)) + "," + std::to_string(i % 4 * 10) + "," + cities[i % 3] + "," +
           (std::sin(i) > 0 ? "cat" : "dog") + "\n";
  }
  /// The rows `first`, `first` + `step`, …
  std::filesystem::path write(const std::string& name, int first = 0, int step = 1) {
    const std::filesystem::path path = directory_ / (name + std::to_string(communicator_.rank()));
    std::filesystem::create_directories(path);
    std::ofstream file(path / "part.csv");
    file << "age,height,code,city,class\n";
    for (int i = first; i < kRows; i += step) file << row(i);
    return path;
  }
  JobConfig config(const std::string& name) const {
    JobConfig config = small_job(directory_ / name);
    Hyperparameters& options = config.hyperparameters;
    options.batch_size = 12;
    options.epochs = 2;
    options.momentum = 0.9;
    options.precision = Precision::kFp64;
    options.export_formats = {Export::kSafetensors};
    options.fields = read_field_descriptions(parse_json(kFields, "test"));
    options.loader_threads = 2;
    return config;
  }
  RankContext ranks() { return {.device = device_, .communicator = communicator_, .host = communicator_}; }
  RankContext hosts() {
    RankContext context = ranks();
    context.hosts = communicator_.size();
    context.host_number = communicator_.rank();
    return context;
  }
  RankContext alone() { return {.device = device_, .communicator = one_, .host = one_}; }

  static void run(const JobConfig& job, const RankContext& context, EventRecorder& events, StopToken stop = {}) {
    TrainingSession session(job, context, std::move(stop), events);
    session.prepare();
    session.run();
  }
  /// Asks to stop at the `step`-th step, on the last rank only; 0: before there is one.
  StopToken stop_at(int step) {
    return {.requested = [this, asked = -1, step]() mutable {
      return ++asked >= step && communicator_.rank() == communicator_.size() - 1;
    }};
  }
  static std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  CpuDevice device_{1};
  RankAlone one_;
  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  SharedDirectory directory_{communicator_};
};

TEST_F(DescribedFieldsTest, AllRanksComputeWhatOneComputes) {
  JobConfig job = config("job");
  job.channels["train"] = write("data");
  const LoadedJob together = load_job(job, {}, ranks());
  const LoadedJob single = load_job(job, {}, alone());
  EXPECT_EQ(together.data.fields, single.data.fields);
  const auto x = parse_json(together.data.fields, "it").at("fields").at("x").at("columns");
  EXPECT_EQ(x.size(), 4);
  EXPECT_EQ(x[2].at("labels"), (std::vector<std::string>{"0", "10", "20", "30"}));
  EXPECT_EQ(x[3].at("labels"), (std::vector<std::string>{"bern", "oslo", "rome"}));
  EXPECT_EQ(x[0].at("fill"), x[0].at("mean"));
  EXPECT_EQ(together.data.training().samples->input(0).sizes, std::vector<std::int64_t>{9});
}

TEST_F(DescribedFieldsTest, AllHostsComputeWhatOneComputesThatHasAll) {
  JobConfig job = config("job");
  job.host = "host" + std::to_string(communicator_.rank());
  job.channels["train"] = write("shard", communicator_.rank(), communicator_.size());
  job.hyperparameters.sharded = {"train"};
  const LoadedJob together = load_job(job, {}, hosts());
  job.channels["train"] = write("all");
  const LoadedJob single = load_job(job, {}, alone());
  EXPECT_EQ(together.data.fields, single.data.fields);
}

TEST_F(DescribedFieldsTest, AHostWithoutSamplesTakesPart) {
  if (communicator_.size() == 1) return;
  JobConfig job = config("job");
  job.host = "host" + std::to_string(communicator_.rank());
  job.hyperparameters.sharded = {"train"};
  job.hyperparameters.validation_share = 0.2;
  job.channels["train"] = communicator_.rank() == 1 ? write("none", kRows) : write("some");
  if (communicator_.rank() == 1) std::filesystem::remove(job.channels["train"] / "part.csv");
  EventRecorder events;
  run(job, hosts(), events);
  EXPECT_EQ(events.evaluations.size(), communicator_.rank() == 0 ? 2 : 0);
}

TEST_F(DescribedFieldsTest, RanksLearnWhatOneLearns) {
  JobConfig job = config("together");
  job.channels["train"] = write("data");
  job.hyperparameters.validation_share = 0.25;
  EventRecorder together;
  run(job, ranks(), together);
  if (communicator_.rank() > 0) return;
  EventRecorder single;
  JobConfig again = config("single");
  again.channels = job.channels;
  again.hyperparameters = job.hyperparameters;
  run(again, alone(), single);
  ASSERT_EQ(together.steps.size(), single.steps.size());
  for (std::size_t i = 0; i < single.steps.size(); ++i) {
    EXPECT_NEAR(together.steps[i].loss, single.steps[i].loss, 1e-12 * std::abs(single.steps[i].loss)) << i;
  }
  ASSERT_EQ(together.evaluations.size(), 2);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(together.evaluations[i].metrics[0].first, single.evaluations[i].metrics[0].first);
    EXPECT_NEAR(together.evaluations[i].metrics[0].second, single.evaluations[i].metrics[0].second, 1e-12);
  }
  const auto& channels = together.started.at(0).channels;
  ASSERT_EQ(channels.size(), 2);
  EXPECT_EQ(channels[0].samples + channels[1].samples, kRows);
  EXPECT_GT(channels[1].samples, kRows / 10);
  EXPECT_TRUE(together.noted("a share of 0.25 is held back"));
  // What was computed lies beside the artifacts, and is of the samples that were trained on.
  const std::string written = text_of(job.model_dir / "fields.json");
  EXPECT_EQ(written, text_of(again.model_dir / "fields.json"));
  again.hyperparameters.validation_share = 0;
  EXPECT_NE(written, load_job(again, {}, alone()).data.fields);
}

TEST_F(DescribedFieldsTest, FoundValuesAreThoseOfTheWholeTrainingChannel) {
  JobConfig job = config("job");
  job.channels["train"] = write("data");
  // As many values as rows: none that is held back is among the others.
  std::ofstream file(job.channels["train"] / "part.csv");
  file << "age,height,code,city,class\n";
  for (int i = 0; i < kRows; ++i) file << i << ",0.5," << i * 3 << ",bern," << (i % 2 > 0 ? "cat" : "dog") << "\n";
  file.close();
  job.hyperparameters.validation_share = 0.25;
  const LoadedJob loaded = load_job(job, {}, ranks());
  EXPECT_EQ(loaded.data.training().samples->input(0).sizes, std::vector<std::int64_t>{kRows + 3});
  const auto x = parse_json(loaded.data.fields, "it").at("fields").at("x").at("columns");
  EXPECT_EQ(x[2].at("labels").size(), kRows);
  job.hyperparameters.validation_share = 0;
  const LoadedJob whole = load_job(job, {}, alone());
  EXPECT_NE(x[0].at("mean"), parse_json(whole.data.fields, "it").at("fields").at("x").at("columns")[0].at("mean"));
}

// Each token and each class is in one row alone, and some of these rows are held back.
TEST_F(DescribedFieldsTest, ABuiltInProgramCountsWhatIsHeldBack) {
  JobConfig job = config("job");
  job.channels["train"] = directory_ / ("rows" + std::to_string(communicator_.rank()));
  std::filesystem::create_directories(job.channels["train"]);
  std::ofstream file(job.channels["train"] / "rows.jsonl");
  for (int i = 0; i < 40; ++i) file << "{\"input_ids\": [" << i << ", 0], \"label\": " << 39 - i << "}\n";
  file.close();
  job.hyperparameters.fields = {};
  job.hyperparameters.validation_share = 0.25;
  job.hyperparameters.model = "bert";
  job.hyperparameters.model_layers = 1;
  job.hyperparameters.model_heads = 1;
  job.hyperparameters.model_width = 4;
  for (const std::uint64_t seed : {1, 2, 3}) {
    job.hyperparameters.seed = seed;
    const LoadedJob loaded = load_job(job, {}, ranks());
    std::map<std::string, at::Tensor> state;
    for (const StateTensor& entry : loaded.program.program.state()) state[entry.name] = entry.tensor;
    EXPECT_EQ(state.at("bert.embeddings.word_embeddings.weight").size(0), 40);
    EXPECT_EQ(state.at("classifier.weight").size(0), 40);
  }
}

TEST_F(DescribedFieldsTest, AValueThatIsNoLabelIsNamedBeforeTrainingBegins) {
  JobConfig job = config("job");
  job.channels = {{"train", write("data")}, {"validation", write("other")}};
  std::ofstream(job.channels["validation"] / "part.csv", std::ios::app) << "1,0.5,35,rome,cat\n";
  EXPECT_ERROR(load_job(job, {}, ranks()), CollectiveError, "channel validation", "part.csv",
               "column code holds 35, which is none of its 4 labels");
  job.channels.erase("validation");
  job.hyperparameters.fields.at("x")[1].labels = {{std::int64_t{0}, std::int64_t{10}, std::int64_t{20}}};
  EXPECT_ERROR(load_job(job, {}, ranks()), CollectiveError, "channel train", "column code holds 30");
}

TEST_F(DescribedFieldsTest, WhatIsHeldBackCanBePredicted) {
  JobConfig job = config("job");
  job.channels["train"] = write("data");
  job.hyperparameters.predict = {"validation"};
  EXPECT_ERROR(load_job(job, {}, ranks()), CollectiveError, "no channel is named \"validation\"");
  job.hyperparameters.validation_share = 0.25;
  const LoadedJob loaded = load_job(job, {}, ranks());
  EXPECT_EQ(loaded.data.predicted.at("validation").samples.size(), loaded.data.samples.at("validation").size());
}

TEST_F(DescribedFieldsTest, RowsWithoutTargetsHaveNoneThoughTheyWouldBeFilled) {
  JobConfig job = config("job");
  for (const char* channel : {"train", "news"}) {
    job.channels[channel] = directory_ / (channel + std::to_string(communicator_.rank()));
    std::filesystem::create_directories(job.channels[channel]);
    std::ofstream file(job.channels[channel] / "part.jsonl");
    for (int i = 0; i < 20; ++i) {
      file << "{\"height\": " << i % 7 << (channel == std::string("news") ? "" : ", \"cost\": 1.5") << "}\n";
    }
  }
  job.hyperparameters.loss = "mse";
  job.hyperparameters.metrics = {};
  job.hyperparameters.fields = read_field_descriptions(
      parse_json(R"({"x": {"columns": ["height"]}, "target": {"column": "cost", "fill": 0}})", ""));
  job.hyperparameters.predict = {"news"};
  const LoadedJob loaded = load_job(job, {}, ranks());
  EXPECT_FALSE(loaded.data.predicted.at("news").has_targets);
}

TEST_F(DescribedFieldsTest, ArtifactsOfAJobWithoutFieldsHaveNoneBesideThem) {
  JobConfig job = config("job");
  job.channels["train"] = write("data");
  EventRecorder events;
  run(job, ranks(), events);
  if (communicator_.rank() > 0) return;
  EXPECT_TRUE(std::filesystem::exists(job.model_dir / "fields.json"));
  job.hyperparameters.fields = {};
  job.channels["train"] = directory_ / "plain";
  std::filesystem::create_directories(job.channels["train"]);
  std::ofstream(job.channels["train"] / "a.csv") << "a,b,target\n1,2,0\n3,4,1\n";
  job.hyperparameters.batch_size = 2;
  run(job, alone(), events);
  EXPECT_FALSE(std::filesystem::exists(job.model_dir / "fields.json"));
  EXPECT_TRUE(std::filesystem::exists(job.model_dir / "model.safetensors"));
}

TEST_F(DescribedFieldsTest, WhatWasStoppedGoesOnAsIfItHadNotBeen) {
  JobConfig job = config("whole");
  job.channels["train"] = write("data");
  job.hyperparameters.validation_share = 0.1;
  EventRecorder undisturbed;
  run(job, ranks(), undisturbed);
  job = config("job");
  job.channels["train"] = write("data");
  job.hyperparameters.validation_share = 0.1;
  job.checkpoint_dir = directory_ / "checkpoints";
  std::vector<double> losses;
  for (const int stop : {1, 6, 3, 1000}) {
    EventRecorder events;
    run(job, ranks(), events, stop_at(stop));
    for (const double loss : events.losses()) losses.push_back(loss);
  }
  EXPECT_EQ(losses, undisturbed.losses());
  EventRecorder events;
  JobConfig other = job;
  other.hyperparameters.fields.at("x")[0].normalize = FieldPart::Normalize::kMinMax;
  EXPECT_ERROR(run(other, ranks(), events), CollectiveError, "hyperparameter fields was");
  other = job;
  other.hyperparameters.validation_share = 0.2;
  EXPECT_ERROR(run(other, ranks(), events), CollectiveError, "validation_share was 0.1");
}

// Of a file of records, 16 are in the digest of its data: of other bytes only what is computed of them tells.
TEST_F(DescribedFieldsTest, ACheckpointOfOtherNumbersIsRefused) {
  const auto records = [&](const std::string& name, float number, std::int64_t label) {
    std::string bytes;
    for (int i = 0; i < 100; ++i) {
      const bool other = i == 50;  // not one of the 16
      bytes += tf_record(example(feature("x", std::vector<float>{other ? number : static_cast<float>(i % 8), 1}) +
                                 feature("target", std::vector<std::int64_t>{other ? label : i % 2})));
    }
    const std::filesystem::path path = directory_ / (name + std::to_string(communicator_.rank()));
    std::filesystem::create_directories(path);
    std::ofstream(path / "a.tfrecord", std::ios::binary) << bytes;
    return path;
  };
  JobConfig job = config("job");
  job.hyperparameters.fields =
      read_field_descriptions(parse_json(R"({"x": {"normalize": "standard"}, "target": {"labels": "found"}})", "test"));
  job.channels["train"] = records("data", 1, 1);
  job.checkpoint_dir = directory_ / "checkpoints";
  EventRecorder events;
  run(job, ranks(), events, stop_at(3));
  job.channels["train"] = records("mean", 7, 1);
  EXPECT_ERROR(run(job, ranks(), events), CollectiveError, "was written by another job: what becomes of columns was",
               "3.41,", " and is ", "3.47,");
  job.channels["train"] = records("labels", 1, 5);  // the program has one class more, too
  EXPECT_ERROR(run(job, ranks(), events), CollectiveError,
               "was written by another job: ", "what becomes of columns was", "[ \"0\", \"1\" ]", " and is ",
               "[ \"0\", \"1\", \"5\" ]");
  job.channels["train"] = records("data", 1, 1);
  run(job, ranks(), events);
}

// As many as there may be.
TEST_F(DescribedFieldsTest, ClassesAndCategoriesMayBe65536) {
  if (communicator_.size() != 2) return;
  constexpr int kMost = 65536;
  JobConfig job = config("job");
  job.hyperparameters.fields =
      read_field_descriptions(parse_json(R"({"x": {"encode": "one_hot"}, "target": {"labels": "found"}})", "test"));
  job.hyperparameters.max_steps = 2;
  job.hyperparameters.model_hidden = {2};
  job.hyperparameters.momentum = 0;
  job.hyperparameters.export_formats = {};
  job.channels["train"] = directory_ / ("many" + std::to_string(communicator_.rank()));
  const auto write_rows = [&](int count) {
    std::filesystem::create_directories(job.channels["train"]);
    std::ofstream file(job.channels["train"] / "a.csv");
    file << "x,target\n";
    for (int i = 0; i < count; ++i) file << 3 * (count - i) << "," << 7 * i << "\n";
  };
  write_rows(kMost);
  EventRecorder events;
  run(job, ranks(), events);
  if (communicator_.rank() == 0) {
    ASSERT_EQ(events.losses().size(), 2);
    EXPECT_NEAR(events.losses()[0], std::log(kMost), 0.5);
  }
  write_rows(kMost + 1);
  EXPECT_ERROR(run(job, ranks(), events), CollectiveError, "more than 65536 different");
}

TEST_F(DescribedFieldsTest, AShareIsForJobsWithoutAnotherChannel) {
  JobConfig job = config("job");
  job.channels = {{"train", write("data")}, {"validation", write("data")}};
  job.hyperparameters.validation_share = 0.1;
  EXPECT_ERROR(load_job(job, {}, ranks()), CollectiveError, "validation_share", "channel named validation");
  job.channels.erase("validation");
  job.channels["test"] = write("data");
  const LoadedJob loaded = load_job(job, {}, ranks());
  EXPECT_EQ(loaded.data.evaluation, "validation");
  EXPECT_EQ(loaded.data.test, "test");
  job.hyperparameters.validation_share = 1e-9;
  EXPECT_ERROR(load_job(job, {}, ranks()), CollectiveError, "validation_share=1e-09 of 90 samples",
               "none to validate on");
}

TEST_F(DescribedFieldsTest, WhatDoesNotFitIsNamed) {
  JobConfig job = config("job");
  job.channels["train"] = write("data");
  job.hyperparameters.fields = read_field_descriptions(parse_json(R"({"x": "age", "z": "city"})", "test"));
  EXPECT_ERROR(load_job(job, {}, ranks()), CollectiveError, "column age has no value");
  job.hyperparameters.fields = read_field_descriptions(
      parse_json(R"({"x": "height", "z": "city", "target": "class", "a": {"column": "age", "fill": 0}})", "test"));
  EXPECT_ERROR(load_job(job, {}, ranks()), CollectiveError, "fields names", "no input of the program");
  job.hyperparameters.fields = read_field_descriptions(parse_json(R"({"x": "hight"})", "test"));
  job.hyperparameters.fields["age"] = {{.columns = {"age"}, .fill = Fill{}}};
  EXPECT_ERROR(load_job(job, {}, ranks()), CollectiveError, "channel train", "no column \"hight\"");
}

}  // namespace
}  // namespace lockstep
