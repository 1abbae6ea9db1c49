#include "engine/report/MetricsFile.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

std::vector<nlohmann::json> lines_of(const MetricsFile& metrics) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(metrics.path());
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

StepDone step(std::int64_t number) {
  return {.epoch = 1,
          .step = number,
          .steps = 3,
          .total_steps = 3,
          .global_step = number,
          .batch_size = 32,
          .loss = 0.5,
          .learning_rate = 0.1,
          .seconds = {.forward = 0.25, .backward = 0.5},
          .when = std::chrono::steady_clock::time_point(std::chrono::seconds(number))};
}

TEST(MetricsFile, HasALineForEachEvent) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory / "metrics", 1);
  metrics.run_started({.program = "cnn"});
  metrics.step_done(step(1));
  metrics.step_done(step(2));
  metrics.evaluated({.epoch = 1, .global_step = 2, .metrics = {{"test_accuracy", 0.9125}}});
  metrics.note({.text = "for people"});
  metrics.run_ended({.steps = 2, .state_step = 2, .state_epoch = 1, .metrics = {{"test_loss", 0.25}}});
  const std::vector<nlohmann::json> lines = lines_of(metrics);
  ASSERT_EQ(lines.size(), 5);
  EXPECT_EQ(lines[0]["event"], "start");
  EXPECT_EQ(lines[0]["job"]["metrics"], metrics.path().string());
  EXPECT_EQ(lines[1], nlohmann::json({{"event", "progress"},
                                      {"epoch", 1},
                                      {"step", 2},
                                      {"train_loss", 0.5},
                                      {"learning_rate", 0.1},
                                      {"samples_per_second", 32.0},
                                      {"seconds", 1.0},
                                      {"seconds_per_step",
                                       {{"data_wait", 0.0},
                                        {"forward", 0.25},
                                        {"backward", 0.5},
                                        {"reduction_wait", 0.0},
                                        {"optimizer", 0.0},
                                        {"replay", 0.0},
                                        {"device_wait", 0.0}}}}));
  EXPECT_EQ(lines[2]["event"], "epoch");
  EXPECT_EQ(lines[2]["test_accuracy"], 0.9125);
  EXPECT_EQ(lines[3]["event"], "final");
  EXPECT_EQ(lines[3]["epoch"], 1);
  EXPECT_EQ(lines[3]["test_loss"], 0.25);
  EXPECT_EQ(lines[3]["step_seconds"]["forward"], 0.5);  // of both steps
  EXPECT_EQ(lines[3]["step_seconds"]["backward"], 1.0);
  EXPECT_EQ(lines[4]["event"], "end");
  EXPECT_EQ(lines[4]["job"]["state"], "after step 2 of 2");
}

// Each step is an epoch, and is shorter than the time between two lines.
TEST(MetricsFile, ProgressIsWrittenHoweverShortEpochsAre) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 3);
  metrics.run_started({});
  for (int i = 1; i <= 9; ++i) {
    StepDone done = step(i);
    done.total_steps = 1000;
    metrics.step_done(done);
    metrics.evaluated({.epoch = i, .global_step = i});
  }
  std::vector<std::int64_t> steps;
  for (const nlohmann::json& line : lines_of(metrics)) {
    if (line["event"] != "progress") continue;
    steps.push_back(line["step"].get<std::int64_t>());
    EXPECT_NEAR(line["samples_per_second"].get<double>(), 32 / 0.75, 1e-9);
  }
  EXPECT_EQ(steps, std::vector<std::int64_t>({4, 5, 8}));  // three seconds each, and a two hundredth of the job
}

TEST(MetricsFile, CheckpointsSayNothingOfTheSpeedOfTraining) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_started({});
  metrics.step_done(step(1));
  metrics.checkpoint_saved({.global_step = 1, .seconds = 97, .stall = 97});
  StepDone late = step(2);
  late.when += std::chrono::seconds(97);
  metrics.step_done(late);
  EXPECT_EQ(lines_of(metrics).at(1)["samples_per_second"], 32.0);
}

TEST(MetricsFile, JsonHasNoNan) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_started({});
  metrics.evaluated({.epoch = 1, .global_step = 1, .metrics = {{"loss", std::nan("")}}});
  EXPECT_EQ(lines_of(metrics)[1]["loss"], "nan");
}

TEST(MetricsFile, TablesAreArrays) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_started({});
  metrics.evaluated({.epoch = 1, .global_step = 1, .tables = {{"confusion", {{1, 2}, {3, 4}}}, {"f1", {{0.5, 1}}}}});
  EXPECT_EQ(lines_of(metrics)[1]["confusion"], nlohmann::json({{1.0, 2.0}, {3.0, 4.0}}));
  EXPECT_EQ(lines_of(metrics)[1]["f1"], nlohmann::json({0.5, 1.0}));
}

TEST(MetricsFile, TouchesNothingBeforeTheRunStarts) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "metrics.jsonl") << "{\"event\": \"end\"}\n";
  MetricsFile metrics(directory.path(), 1);
  EXPECT_EQ(lines_of(metrics).size(), 1);
  metrics.run_started({});
  ASSERT_EQ(lines_of(metrics).size(), 1);
  EXPECT_EQ(lines_of(metrics)[0]["event"], "start");
}

TEST(MetricsFile, AResumedRunKeepsWhatIsNotDoneAgain) {
  const TemporaryDirectory directory;
  {
    MetricsFile killed(directory.path(), 1);
    killed.run_started({.identity = "job"});
    for (const int number : {1, 2, 3}) killed.step_done(step(number));
    killed.evaluated({.epoch = 1, .global_step = 3});
    killed.run_ended({.state_step = 2});
    std::ofstream(killed.path(), std::ios::app) << "{\"event\": \"epo";
  }
  const auto events = [&](const RunStarted& start) {
    MetricsFile metrics(directory.path(), 1);
    metrics.run_started(start);
    std::vector<std::string> found;
    for (const nlohmann::json& line : lines_of(metrics)) {
      const std::string event = line["event"];
      found.push_back(event + " " + line[event == "start" ? "resumed_step" : "step"].dump());
    }
    return found;
  };
  using Lines = std::vector<std::string>;
  EXPECT_EQ(events({.identity = "job", .resumed_step = 3}),
            (Lines{"start 0", "progress 2", "progress 3", "epoch 3", "start 3"}));
  EXPECT_EQ(events({.identity = "job", .resumed_step = 2}), (Lines{"start 0", "progress 2", "start 2"}));
  EXPECT_EQ(events({.identity = "job", .resumed_step = 1}), (Lines{"start 0", "start 1"}));
  EXPECT_EQ(events({.identity = "another", .resumed_step = 2}), (Lines{"start 2"}));
  EXPECT_EQ(events({.identity = "another"}), (Lines{"start 0"}));
}

TEST(MetricsFile, NamesOfClassesMayBeAnyBytes) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_started({.labels = {"caf\xe9", "tea"}});
  EXPECT_EQ(lines_of(metrics)[0]["labels"], nlohmann::json({"caf\uFFFD", "tea"}));
}

TEST(MetricsFile, SaysWhatEachRankTook) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_started({.ranks = 2, .hyperparameters = {{"epochs", "3"}}, .memory = {.parameters = 4}});
  metrics.evaluated({.epoch = 1,
                     .global_step = 1,
                     .ranks = {{.steps = 1, .seconds = {.forward = 0.5}, .peak_memory = 7}, {.host = 4}}});
  const nlohmann::json start = lines_of(metrics)[0];
  EXPECT_EQ(start["ranks"], 2);
  EXPECT_EQ(start["hyperparameters"]["epochs"], "3");
  EXPECT_EQ(start["memory"]["parameters"], 4);
  const nlohmann::json ranks = lines_of(metrics)[2]["ranks"];
  ASSERT_EQ(ranks.size(), 2);
  EXPECT_EQ(ranks[0]["seconds_per_step"]["forward"], 0.5);
  EXPECT_EQ(ranks[0]["peak_memory"], 7);
  EXPECT_EQ(ranks[1]["host"], 1);
}

TEST(MetricsFile, KeepsAPictureBesideIt) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_started({});
  metrics.images_shown({.channel = "train", .columns = 1, .labels = {"cat"}, .png = "bytes"});
  const nlohmann::json line = lines_of(metrics)[1];
  EXPECT_EQ(line["labels"], nlohmann::json({"cat"}));
  std::ifstream picture(directory / line["file"].get<std::string>());
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(picture), {}), "bytes");
}

TEST(MetricsFile, SaysWhyARunFailed) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_failed({.text = "before it started"});
  metrics.run_started({});
  metrics.run_failed({.text = "no memory"});
  ASSERT_EQ(lines_of(metrics).size(), 2);
  EXPECT_EQ(lines_of(metrics)[1], nlohmann::json({{"event", "failed"}, {"error", "no memory"}}));
}

TEST(MetricsFile, RefusesADirectoryThatCannotBe) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "file") << "x";
  MetricsFile metrics(directory / "file/below", 1);
  EXPECT_ERROR(metrics.run_started({}), InputError, "file/below");
}

}  // namespace
}  // namespace lockstep
