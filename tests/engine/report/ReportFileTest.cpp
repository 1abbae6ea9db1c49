#include "engine/report/ReportFile.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "engine/report/Base64.h"
#include "engine/report/MetricsFile.h"
#include "engine/report/ReportPage.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

std::string page_in(const TemporaryDirectory& directory) {
  std::ifstream file(directory / ReportFile::kName);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(ReportFile, IsThereFromTheFirstEvaluationOn) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  ReportFile report(directory.path());
  const auto tell = [&](const auto& how) {
    how(metrics);
    how(report);
  };
  tell([](EventSink& sink) { sink.run_started({.job_name = "<job>"}); });
  EXPECT_EQ(page_in(directory), "");
  tell([](EventSink& sink) { sink.evaluated({.epoch = 1, .global_step = 5, .metrics = {{"test_loss", 0.5}}}); });
  EXPECT_TRUE(has(page_in(directory), "was running"));
  EXPECT_TRUE(has(page_in(directory), "data-value=\"0.5\""));
  EXPECT_TRUE(has(page_in(directory), "&lt;job&gt;"));
  EXPECT_FALSE(has(page_in(directory), "<job>"));
  tell([](EventSink& sink) { sink.run_failed({.text = "no </script> memory"}); });
  EXPECT_TRUE(has(page_in(directory), "no &lt;/script&gt; memory"));
}

TEST(ReportFile, SaysNothingOfARunThatHasNotStarted) {
  const TemporaryDirectory directory;
  ReportFile report(directory.path());
  report.run_failed({.text = "bad input"});
  EXPECT_EQ(page_in(directory), "");
}

TEST(ReportFile, DoesNotHideWhyARunFailed) {
  const TemporaryDirectory directory;
  ReportFile report(directory / "none");
  report.run_started({});
  EXPECT_NO_THROW(report.run_failed({.text = "the disk is full"}));
}

TEST(Base64, IsThatOfTheStandard) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xff\xfe"), "//4=");
}

TEST(ReportPage, NamesTheClassesOfAConfusionMatrix) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_started({.labels = {"cat", "<dog>"}, .identity = "job", .resumed_step = 7});
  metrics.evaluated(
      {.epoch = 1, .global_step = 8, .tables = {{"test_confusion_matrix", {{1, 2, 0}, {3, 4, 0}, {0, 0, 1}}}}});
  std::vector<RunHistory> runs{RunHistory(directory.path())};
  runs[0].read_on();
  const std::string page = report_page(runs);
  EXPECT_TRUE(has(page, "<tr><th></th><th>cat</th><th>&lt;dog&gt;</th><th>2</th></tr>"));
  EXPECT_TRUE(has(page, "<tr><th>&lt;dog&gt;</th>"));
  EXPECT_TRUE(has(page, "resumed after step 7"));
}

TEST(ReportPage, LeavesOutAPictureThatIsNone) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory.path(), 1);
  metrics.run_started({});
  metrics.images_shown({.channel = "train", .columns = 2, .labels = {"0", "1"}, .png = "no picture"});
  std::vector<RunHistory> runs{RunHistory(directory.path())};
  runs[0].read_on();
  EXPECT_FALSE(has(report_page(runs), "id=\"pictures\""));
  // A name that leads out of the directory is taken for one in it.
  runs[0].picture = "../../../etc/passwd";
  EXPECT_FALSE(has(report_page(runs), "id=\"pictures\""));
}

}  // namespace
}  // namespace lockstep
