#include "engine/report/Reporter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

#include "common/Error.h"
#include "common/File.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

/// A reporter and what it printed.
class Recorded {
 public:
  Recorded(bool terminal, double seconds_between_lines)
      : reporter(std::fopen((directory_ / "out").c_str(), "w"), terminal, seconds_between_lines,
                 MetricsFile(directory_ / "metrics")) {}
  std::string printed() const { return read_file(directory_ / "out", 1 << 20); }
  std::vector<nlohmann::json> lines() const {
    std::vector<nlohmann::json> lines;
    std::ifstream file(directory_ / "metrics/metrics.jsonl");
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

 private:
  TemporaryDirectory directory_;

 public:
  Reporter reporter;
};

Progress step(std::int64_t number) {
  return {.epoch = 1,
          .epochs = 2,
          .step = number,
          .steps = 3,
          .total_steps = 6,
          .global_step = number,
          .batch_size = 32,
          .loss = 0.5,
          .learning_rate = 0.1};
}

TEST(Reporter, MetricLinesCanBePickedUpByARegularExpression) {
  Recorded recorded(false, 1000);
  recorded.reporter.metrics("epoch", 2, 938, {{"train_loss", 0.25}, {"test_accuracy", 0.9125}});
  const std::string printed = recorded.printed();
  EXPECT_EQ(printed, "epoch=2 step=938 train_loss=0.25 test_accuracy=0.9125\n");
  std::smatch match;
  ASSERT_TRUE(std::regex_search(printed, match, std::regex("test_accuracy=([0-9.]+)")));
  EXPECT_EQ(match[1], "0.9125");
  ASSERT_EQ(recorded.lines().size(), 1);
  EXPECT_EQ(recorded.lines()[0]["test_accuracy"], 0.9125);
  EXPECT_EQ(recorded.lines()[0]["event"], "epoch");
}

TEST(Reporter, NumbersHaveNoExponent) {
  Recorded recorded(false, 1000);
  recorded.reporter.metrics("epoch", 1, 1, {{"a", 9.5e-5}, {"b", 1234567.4}, {"c", 0}, {"d", -2}, {"e", 2.0 / 3}});
  EXPECT_EQ(recorded.printed(), "epoch=1 step=1 a=0.000095 b=1234567 c=0 d=-2 e=0.666667\n");
}

TEST(Reporter, PlainLinesWithoutATerminal) {
  Recorded recorded(false, 1e-9);
  for (int i = 1; i <= 3; ++i) recorded.reporter.progress(step(i));
  const std::string printed = recorded.printed();
  EXPECT_EQ(std::count(printed.begin(), printed.end(), '\n'), 2);  // the first step starts the clock
  EXPECT_EQ(printed.find('\r'), std::string::npos);
  EXPECT_NE(printed.find("epoch 1/2  step 3/3  loss 0.5000"), std::string::npos);
}

TEST(Reporter, FewPlainLines) {
  Recorded recorded(false, 1000);
  for (int i = 1; i <= 3; ++i) recorded.reporter.progress(step(i));
  EXPECT_EQ(recorded.printed(), "");
}

TEST(Reporter, OneLineOnATerminalEndedBeforeOtherText) {
  Recorded recorded(true, 1000);
  for (int i = 1; i <= 3; ++i) recorded.reporter.progress(step(i));
  recorded.reporter.note("a note");
  const std::string printed = recorded.printed();
  EXPECT_EQ(printed.find('\r'), 0);
  EXPECT_TRUE(printed.ends_with(" left\na note\n")) << printed;
}

TEST(Reporter, HeaderAndSummaryAreAlignedAndInTheFile) {
  Recorded recorded(false, 1);
  recorded.reporter.header({{"ranks", "2"}, {"program", "cnn"}});
  recorded.reporter.summary({{"time", "1 s"}});
  EXPECT_EQ(recorded.printed(), "  ranks    2\n  program  cnn\n  time  1 s\n");
  EXPECT_EQ(recorded.lines()[0]["job"]["program"], "cnn");
  EXPECT_EQ(recorded.lines()[1]["event"], "end");
}

TEST(Reporter, JsonHasNoNan) {
  Recorded recorded(false, 1);
  recorded.reporter.metrics("epoch", 1, 1, {{"loss", std::nan("")}});
  EXPECT_EQ(recorded.lines()[0]["loss"], "nan");
}

TEST(MetricsFile, RefusesADirectoryThatCannotBe) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "file") << "x";
  EXPECT_ERROR(MetricsFile(directory / "file/below"), InputError, "file/below");
}

}  // namespace
}  // namespace lockstep
