#include "engine/report/Console.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <regex>
#include <string>

#include "common/File.h"
#include "job/BuiltinNames.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

/// A console and what it printed.
class Printed {
 public:
  Printed(bool terminal, double seconds_between_lines)
      : out_(std::fopen((directory_ / "out").c_str(), "w"), &std::fclose),
        console(out_.get(), terminal, seconds_between_lines, "metrics.jsonl") {}
  std::string text() const { return read_file(directory_ / "out", 1 << 20); }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out_;

 public:
  Console console;
};

/// One second after the other.
StepDone step(std::int64_t number) {
  return {.epoch = 1,
          .epochs = 2,
          .step = number,
          .steps = 3,
          .total_steps = 6,
          .global_step = number,
          .batch_size = 32,
          .loss = 0.5,
          .learning_rate = 0.1,
          .when = std::chrono::steady_clock::time_point(std::chrono::seconds(number))};
}

Evaluated evaluated(const Metrics& metrics) {
  return {.epoch = 2, .global_step = 938, .train_loss = 0.25, .train_samples_per_second = 800, .metrics = metrics};
}

TEST(Console, MetricLinesCanBePickedUpByARegularExpression) {
  Printed printed(false, 1000);
  printed.console.evaluated(evaluated({{"test_accuracy", 0.9125}}));
  const std::string text = printed.text();
  EXPECT_EQ(text, "epoch=2 step=938 train_loss=0.25 train_samples_per_second=800 test_accuracy=0.9125\n");
  std::smatch match;
  ASSERT_TRUE(std::regex_search(text, match, std::regex("test_accuracy=([0-9.]+)")));
  EXPECT_EQ(match[1], "0.9125");
}

// As docs/sagemaker.md has it, whatever other metrics are beside it.
TEST(Console, AnyMetricIsPickedUpByItsName) {
  Printed printed(false, 1000);
  Metrics metrics;
  for (const std::string& name : builtin_metric_names()) {
    metrics.emplace_back("validation_" + name,
                         (metrics.size() % 2 == 0 ? -1 : 1) * (1 + static_cast<double>(metrics.size()) / 8));
  }
  printed.console.evaluated(evaluated(metrics));
  const std::string text = printed.text();
  for (const auto& [name, value] : metrics) {
    std::smatch match;
    ASSERT_TRUE(std::regex_search(text, match, std::regex(name + "=(-?[0-9.]+)"))) << name;
    EXPECT_EQ(std::stod(match[1]), value) << name;
  }
}

TEST(Console, SaysWhatEachRankHoldsFromTheStart) {
  constexpr std::int64_t kMib = 1 << 20;
  const auto header = [](const MemoryUse& memory) {
    Printed printed(false, 1000);
    printed.console.run_started({.memory = memory});
    return printed.text();
  };
  const std::string plain = "parameters 1.0 MiB, gradients 2.0 MiB, optimizer 3.0 MiB";
  EXPECT_NE(header({.parameters = kMib, .gradients = 2 * kMib, .optimizer = 3 * kMib})
                .find(plain + " on each rank; activations come on top\n"),
            std::string::npos);
  EXPECT_NE(header({.parameters = kMib,
                    .gradients = 2 * kMib,
                    .optimizer = 3 * kMib,
                    .optimizer_shares = 4,
                    .average = 4 * kMib,
                    .best = 5 * kMib,
                    .checkpoint = 6 * kMib})
                .find(plain +
                      " (1 of 4 shares), average of the weights 4.0 MiB, best state 5.0 MiB on each rank; activations "
                      "come on top; 6.0 MiB of the host on rank 0 for checkpoints\n"),
            std::string::npos);
}

TEST(Console, TablesAreShownAtTheEndWhereTheyAreSmall) {
  Printed printed(false, 1000);
  printed.console.run_ended({.tables = {{"test_confusion_matrix", {{3, 1}, {0, 0.5}}},
                                        {"test_f1_per_class", {{0.25, 1}}},
                                        {"test_large", {std::vector<double>(100)}}}});
  const std::string text = printed.text();
  EXPECT_NE(text.find("  test_confusion_matrix 0  3 1\n  test_confusion_matrix 1  0 0.5\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  test_f1_per_class        0.25 1\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("test_large"), std::string::npos) << text;
}

TEST(Console, RowsOfATableAreCalledAsTheClassesAre) {
  Printed printed(false, 1000);
  printed.console.run_ended({.tables = {{"test_confusion_matrix", {{3, 1}, {0, 0.5}}}}, .labels = {"cat"}});
  const std::string text = printed.text();
  EXPECT_NE(text.find("  test_confusion_matrix cat  3 1\n  test_confusion_matrix 1    0 0.5\n"), std::string::npos)
      << text;
}

TEST(Console, NumbersHaveNoExponent) {
  Printed printed(false, 1000);
  printed.console.evaluated(evaluated({{"a", 9.5e-5}, {"b", 1234567.4}, {"c", 0}, {"d", -2}, {"e", 2.0 / 3}}));
  EXPECT_TRUE(printed.text().ends_with(" a=0.000095 b=1234567 c=0 d=-2 e=0.666667\n")) << printed.text();
}

TEST(Console, PlainLinesWithoutATerminal) {
  Printed printed(false, 1);
  for (int i = 1; i <= 3; ++i) printed.console.step_done(step(i));
  EXPECT_EQ(printed.text(),  // the first step starts the clock
            "epoch 1/2  step 2/3  loss 0.5000  lr 0.1  32 samples/s  0:04 left\n"
            "epoch 1/2  step 3/3  loss 0.5000  lr 0.1  32 samples/s  0:03 left\n");
}

TEST(Console, FewPlainLines) {
  Printed printed(false, 1000);
  for (int i = 1; i <= 3; ++i) printed.console.step_done(step(i));
  EXPECT_EQ(printed.text(), "");
}

TEST(Console, OneLineOnATerminalEndedBeforeOtherText) {
  Printed printed(true, 1000);
  for (int i = 1; i <= 3; ++i) printed.console.step_done(step(i));
  printed.console.note({.text = "a note"});
  const std::string text = printed.text();
  EXPECT_EQ(text.find('\r'), 0);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_TRUE(text.ends_with(" left\na note\n")) << text;
}

TEST(Console, ABarOnATerminalFitsIntoEightyColumns) {
  Printed printed(true, 1000);
  printed.console.step_done(step(1));
  StepDone last = step(3);
  last.global_step = 123456;
  last.total_steps = 246912;
  last.seconds.data_wait = 1;
  printed.console.step_done(last);
  const std::string text = printed.text();
  EXPECT_EQ(text.substr(0, 4), "\r\x1b[K");
  EXPECT_NE(text.find("━━━━━━━━────────  50 %  123456/246912  loss 0.5  16/s  data 50 %  "), std::string::npos) << text;
  const auto columns = std::ranges::count_if(text.substr(4), [](unsigned char c) { return (c & 0xC0U) != 0x80U; });
  EXPECT_LE(columns, 80);
}

// 32 samples in the half second that its phases took.
TEST(Console, EvaluationsSayNothingOfTheSpeedOfTraining) {
  Printed printed(false, 1);
  printed.console.step_done(step(1));
  printed.console.evaluated(evaluated({}));
  StepDone late = step(2);
  late.when += std::chrono::seconds(97);
  late.seconds = {.forward = 0.25, .backward = 0.25};
  printed.console.step_done(late);
  EXPECT_TRUE(printed.text().ends_with("step 2/3  loss 0.5000  lr 0.1  64 samples/s  0:02 left\n")) << printed.text();
}

// 32 samples in the second that was training.
TEST(Console, CheckpointsSayNothingOfTheSpeedOfTraining) {
  Printed printed(false, 1);
  printed.console.step_done(step(1));
  printed.console.step_done(step(2));
  printed.console.checkpoint_saved({.global_step = 2, .path = "/c/step-2", .seconds = 97, .stall = 97});
  StepDone late = step(3);
  late.when += std::chrono::seconds(97);
  printed.console.step_done(late);
  EXPECT_TRUE(printed.text().ends_with("step 3/3  loss 0.5000  lr 0.1  32 samples/s  0:03 left\n")) << printed.text();
}

TEST(Console, WhatFailsStandsOnALineOfItsOwn) {
  Printed printed(true, 1000);
  for (int i = 1; i <= 2; ++i) printed.console.step_done(step(i));
  EXPECT_FALSE(printed.text().ends_with("\n"));
  printed.console.run_failed({.text = "said by others"});
  EXPECT_TRUE(printed.text().ends_with(" left\n")) << printed.text();
}

TEST(Console, SkippedStepsAndWarningsAreToldApart) {
  Printed printed(false, 1000);
  StepDone skipped = step(3);
  skipped.skipped = true;
  skipped.loss_scale = 32768;
  printed.console.step_done(skipped);
  StepDone weightless = step(4);
  weightless.weightless = true;
  printed.console.step_done(weightless);
  printed.console.note({.text = "a note"});
  printed.console.note({.text = "beware", .warning = true});
  EXPECT_EQ(printed.text(),
            "step 3 is skipped: its gradient overflowed; the loss scale is now 32768\nstep 4 changes nothing: all of "
            "its labels are ignored or weigh 0\na note\nWARNING: beware\n");
}

TEST(Console, CheckpointsAndWhatCouldNotBeRemoved) {
  Printed printed(false, 1000);
  printed.console.checkpoint_saved(
      {.global_step = 7, .path = "/c/step-7", .seconds = 0.25, .stall = 0.25, .not_pruned = {"busy"}});
  EXPECT_EQ(printed.text(), "checkpoint /c/step-7, written in 0.25 s\nWARNING: older checkpoints take up room: busy\n");
}

TEST(Console, HeaderAndSummaryAreAligned) {
  Printed printed(false, 1);
  printed.console.run_started({.host = "algo-1", .device = "2 cores", .program = "cnn"});
  printed.console.run_ended({.steps = 10, .state_step = 5, .state_epoch = 2, .metrics = {{"test_loss", 0.5}}});
  const std::string text = printed.text();
  EXPECT_NE(text.find("\n  ranks        1 on algo-1, 2 cores\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  metrics      metrics.jsonl\nepoch=2 step=5 test_loss=0.5 "), std::string::npos) << text;
  EXPECT_NE(text.find("\n  test_loss   0.5000\n  state       after step 5 of 10\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace lockstep
