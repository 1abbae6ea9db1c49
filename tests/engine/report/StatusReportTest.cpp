#include "engine/report/StatusReport.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "common/RankStatus.h"

namespace lockstep {
namespace {

// One second after the other, each an epoch.
StepDone step(std::int64_t number) {
  return {.epoch = number,
          .epochs = 100,
          .step = 1,
          .steps = 1,
          .total_steps = 100,
          .global_step = number,
          .batch_size = 32,
          .loss = 0.5,
          .seconds = {.data_wait = 0.05, .forward = 0.2},
          .when = std::chrono::steady_clock::time_point(std::chrono::seconds(number))};
}

TEST(StatusReport, SaysWhereARunOfShortEpochsIs) {
  const RankStatusFile file;
  StatusReport report(file.path());
  for (int i = 1; i <= 3; ++i) {
    report.step_done(step(i));
    EXPECT_EQ(file.progress().empty(), i == 1);
    report.evaluated({.epoch = i, .global_step = i});
  }
  const nlohmann::json progress = nlohmann::json::parse(file.progress());
  EXPECT_EQ(progress["step"], 3);
  EXPECT_EQ(progress["total_steps"], 100);
  EXPECT_NEAR(progress["samples_per_second"].get<double>(), 32 / 0.25, 1e-9);
  EXPECT_NEAR(progress["data_wait_share"].get<double>(), 0.2, 1e-9);
  EXPECT_NEAR(progress["seconds_left"].get<double>(), 97 * 0.25, 1e-9);
}

// One that is written beside training takes longer than it holds training up.
TEST(StatusReport, CheckpointsBesideTrainingHideNothing) {
  const RankStatusFile file;
  StatusReport report(file.path());
  report.step_done(step(1));
  report.checkpoint_saved({.global_step = 1, .seconds = 100, .stall = 0.5});
  report.step_done(step(2));
  const nlohmann::json progress = nlohmann::json::parse(file.progress());
  EXPECT_NEAR(progress["samples_per_second"].get<double>(), 32 / 0.5, 1e-9);
}

// Steps that a checkpoint has held up are told of later; on a GPU the data of a step is waited for in an earlier one.
TEST(StatusReport, DataWaitIsAtMostAllOfTheTime) {
  const RankStatusFile file;
  StatusReport report(file.path());
  report.step_done(step(1));
  report.checkpoint_saved({.global_step = 1, .seconds = 0.98, .stall = 0.98});
  report.step_done(step(2));
  EXPECT_NEAR(nlohmann::json::parse(file.progress())["data_wait_share"].get<double>(), 1, 1e-9);
}

}  // namespace
}  // namespace lockstep
