#include "engine/report/RunHistory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <string>

#include "common/Error.h"
#include "engine/report/MetricsFile.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

std::array<double, ProgressSeries::kColumns> numbers(double loss) {
  std::array<double, ProgressSeries::kColumns> all{};
  all[0] = loss;
  return all;
}

TEST(ProgressSeries, KeepsEachLineWhereThereIsRoom) {
  ProgressSeries series;
  for (int step = 1; step <= 1024; ++step) series.add(step, numbers(step));
  ASSERT_EQ(series.points().size(), 1024);
  EXPECT_EQ(series.lines_each(), 1);
  EXPECT_EQ(series.points()[1023].step, 1024);
  EXPECT_EQ(series.points()[1023].cells[0].mean(), 1024);
}

TEST(ProgressSeries, PutsNeighboursTogetherWhereThereIsNone) {
  ProgressSeries series;
  for (int step = 1; step <= 1025; ++step) series.add(step, numbers(step));
  ASSERT_EQ(series.points().size(), 513);
  EXPECT_EQ(series.lines_each(), 2);
  const ProgressSeries::Cell& first = series.points()[0].cells[0];
  EXPECT_EQ(first.mean(), 1.5);
  EXPECT_EQ(first.least, 1);
  EXPECT_EQ(first.most, 2);
  EXPECT_EQ(series.points()[0].step, 2);
  EXPECT_EQ(series.points()[512].lines, 1);
}

TEST(ProgressSeries, WhatIsNotFiniteDoesNotCount) {
  ProgressSeries series;
  for (int step = 1; step <= 1026; ++step) {
    series.add(step, numbers(step % 2 == 0 ? std::numeric_limits<double>::quiet_NaN() : step));
  }
  EXPECT_EQ(series.points()[0].cells[0].mean(), 1);
  EXPECT_EQ(series.points()[0].cells[0].count, 1);
}

TEST(RunHistory, ReadsWhatMetricsFileWrites) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_started({.total_steps = 7, .hyperparameters = {{"epochs", "3"}}, .memory = {.optimizer = 5}});
  for (int step = 1; step <= 3; ++step) {
    metrics.step_done({.epoch = 1,
                       .step = step,
                       .steps = 3,
                       .total_steps = 7,
                       .global_step = step,
                       .batch_size = 4,
                       .loss = step == 3 ? std::numeric_limits<double>::infinity() : 0.5,
                       .seconds = {.backward = 0.25},
                       .when = std::chrono::steady_clock::time_point(std::chrono::seconds(step))});
  }
  RunHistory run(directory.path());
  run.read_on();
  EXPECT_EQ(run.total_steps, 7);
  EXPECT_EQ(run.memory.optimizer, 5);
  EXPECT_EQ(run.hyperparameters, (Rows{{"epochs", "3"}}));
  ASSERT_EQ(run.progress.points().size(), 2);
  EXPECT_EQ(run.progress.points()[0].cells[0].mean(), 0.5);
  EXPECT_EQ(run.progress.points()[0].cells[ProgressSeries::kNumbers.size() + 2].mean(), 0.25);
  EXPECT_EQ(run.progress.points()[1].cells[0].count, 0);

  metrics.evaluated({.epoch = 1,
                     .global_step = 3,
                     .metrics = {{"test_loss", 0.25}},
                     .tables = {{"test_confusion_matrix", {{1, 2}, {3, 4}}}},
                     .ranks = {{.host = 1, .steps = 3, .seconds = {.forward = 2}, .peak_memory = 9}}});
  metrics.run_ended({.metrics = {{"test_loss", 0.125}}});
  run.read_on();
  ASSERT_EQ(run.evaluations.size(), 1);
  EXPECT_EQ(run.evaluations[0].metrics[0].first, "test_loss");
  EXPECT_EQ(run.tables, (Tables{{"test_confusion_matrix", {{1, 2}, {3, 4}}}}));
  ASSERT_EQ(run.ranks.size(), 1);
  EXPECT_EQ(run.ranks[0].seconds.forward, 2);
  EXPECT_EQ(run.ranks[0].peak_memory, 9);
  EXPECT_EQ(run.state, RunHistory::State::kEnded);
}

TEST(RunHistory, GoesOnWhereAJobWasResumed) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "metrics.jsonl") << R"({"event": "start", "job": {}, "total_steps": 4}
{"event": "progress", "step": 2, "train_loss": 0.5, "seconds": 10}
{"event": "start", "job": {}, "total_steps": 8, "resumed_step": 2, "labels": ["cat", "dog"]}
{"event": "progress", "step": 4, "train_loss": 0.25, "seconds": 3}
)";
  RunHistory run(directory.path());
  run.read_on();
  ASSERT_EQ(run.progress.points().size(), 2);
  EXPECT_EQ(run.progress.points()[0].cells[ProgressSeries::kSeconds].mean(), 10);
  EXPECT_EQ(run.progress.points()[1].cells[ProgressSeries::kSeconds].mean(), 13);
  EXPECT_EQ(run.progress.points()[1].step, 4);
  EXPECT_EQ(run.total_steps, 8);
  EXPECT_EQ(run.resumed, std::vector<std::int64_t>{2});
  EXPECT_EQ(run.labels, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(run.state, RunHistory::State::kRunning);
}

TEST(RunHistory, LeavesALineThatIsNotWhole) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "metrics.jsonl") << "{\"event\": \"failed\", \"error\": \"why\"}\n{\"event\": \"e";
  RunHistory run(directory.path());
  run.read_on();
  EXPECT_EQ(run.state, RunHistory::State::kFailed);
  EXPECT_EQ(run.error, "why");
}

TEST(RunHistory, RefusesWhatIsNoHistory) {
  const TemporaryDirectory directory;
  RunHistory missing(directory / "none");
  EXPECT_ERROR(missing.read_on(), InputError, "none");
  for (const char* line : {"hello", "[]", "{\"event\": 1}", "{\"event\": \"epoch\"}",
                           "{\"event\": \"ranks\", \"ranks\": [1]}", "{\"event\": \"start\", \"job\": {\"a\": 1}}"}) {
    std::ofstream(directory / "metrics.jsonl") << "{\"event\": \"other\"}\n" << line << "\n";
    RunHistory run(directory.path());
    EXPECT_ERROR(run.read_on(), InputError, "line 2");
  }
}

}  // namespace
}  // namespace lockstep
