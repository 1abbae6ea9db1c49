#include "engine/checkpoint/CheckpointState.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "engine/checkpoint/JobItems.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

CheckpointState example() {
  return {.step = 1234,
          .position = {3, 34},
          .epoch_loss = 0.1 + 0.2,
          .epoch_weight = 1.0 / 7,
          .evaluated_step = 1200,
          .evaluations_since_best = 2,
          .best = SavedEvaluation{.step = 800,
                                  .metrics = {{"loss", 1.0 / 3}, {"accuracy", std::nan("")}},
                                  .tables = {{"f1", {{0.1, 2}, {3, 4}}}}},
          .last = SavedEvaluation{.step = 1200, .metrics = {{"loss", std::numeric_limits<double>::infinity()}}},
          .loss_scale = LossScale::State{.value = 0x1p-1000, .steps_since_change = 7, .overflows = 8},
          .optimizer_steps = {{"fc.weight", 1234}, {"fc.bias", 0}},
          .samples_since_average = {64, 0, 32},
          .job = {{"hyperparameter seed", "1"}}};
}

TEST(CheckpointState, ComesBackToTheLastBit) {
  const CheckpointState state = example();
  const std::string text = write_state(state);
  const CheckpointState read = read_state(text, "state.json");
  EXPECT_EQ(write_state(read), text);
  EXPECT_EQ(read.step, state.step);
  EXPECT_EQ(read.position.epoch, 3);
  EXPECT_EQ(read.position.step, 34);
  EXPECT_EQ(read.epoch_loss, state.epoch_loss);
  EXPECT_EQ(read.epoch_weight, state.epoch_weight);
  EXPECT_EQ(read.best->metrics.at("loss"), 1.0 / 3);
  EXPECT_TRUE(std::isnan(read.best->metrics.at("accuracy")));
  EXPECT_EQ(read.best->tables, state.best->tables);
  EXPECT_EQ(read.last->metrics.at("loss"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(read.loss_scale->value, 0x1p-1000);
  EXPECT_EQ(read.loss_scale->overflows, 8);
  EXPECT_EQ(read.optimizer_steps, state.optimizer_steps);
  EXPECT_EQ(read.samples_since_average, state.samples_since_average);
  EXPECT_EQ(read.job, state.job);
}

TEST(CheckpointState, WhatIsNotThereStaysAway) {
  const CheckpointState read = read_state(write_state({}), "state.json");
  EXPECT_FALSE(read.best || read.last || read.loss_scale || read.plateau);
  EXPECT_EQ(read.average_updates, 0);
}

// Checkpoints of jobs without them, and of before there were any, do not name them.
TEST(CheckpointState, WhatFewJobsHaveComesBackToo) {
  CheckpointState state = example();
  EXPECT_FALSE(nlohmann::json::parse(write_state(state)).contains("plateau"));
  EXPECT_FALSE(nlohmann::json::parse(write_state(state)).contains("average_updates"));
  state.plateau = {
      .rate = 0.1 / 3, .best = -std::numeric_limits<double>::infinity(), .bad_evaluations = 4, .cooldown = 5};
  state.average_updates = 77;
  const CheckpointState read = read_state(write_state(state), "state.json");
  EXPECT_EQ(read.plateau->rate, 0.1 / 3);
  EXPECT_EQ(read.plateau->best, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(read.plateau->bad_evaluations, 4);
  EXPECT_EQ(read.plateau->cooldown, 5);
  EXPECT_EQ(read.average_updates, 77);
  auto document = nlohmann::json::parse(write_state(state));
  document["plateau"].erase("best");
  EXPECT_ERROR(read_state(document.dump(), "state.json"), InputError, "state.json", "best");
}

TEST(CheckpointState, EveryKeyIsNeededAndOfItsType) {
  const auto document = nlohmann::json::parse(write_state(example()));
  for (const auto& [key, value] : document.items()) {
    if (key == "ranks") continue;  // for people: the list of samples says it too
    auto changed = document;
    changed.erase(key);
    EXPECT_ERROR(read_state(changed.dump(), "state.json"), InputError, "state.json", key);
    changed[key] = true;
    EXPECT_ERROR(read_state(changed.dump(), "state.json"), InputError, "state.json");
  }
  for (const auto& [value, text] :
       {std::pair<nlohmann::json, std::string>(-1, "-1"), {1e300, "1e+300"}, {1.5, "1.5"}}) {
    auto changed = document;
    changed["step"] = value;
    EXPECT_ERROR(read_state(changed.dump(), "state.json"), InputError, "state.json", "found " + text);
  }
  EXPECT_ERROR(read_state("[1", "state.json"), InputError, "state.json is not JSON");
}

TEST(JobItems, OnlyWhatMattersMustStay) {
  Hyperparameters one;
  Hyperparameters other;
  other.ranks_per_host = 5;
  other.log_every = 9;
  other.checkpoint_every.steps = 3;
  other.bucket_cap_mb = 1;
  other.micro_batch_size = 4;
  other.epochs = 99;
  EXPECT_EQ(difference(items_of(one), items_of(other)), "");
  other.learning_rate = 0.5;
  EXPECT_EQ(difference(items_of(one), items_of(other)), "hyperparameter learning_rate was 0.01 and is 0.5");
}

TEST(JobItems, TheEndMattersToASchedule) {
  Hyperparameters one;
  one.schedule = "cosine";
  Hyperparameters other = one;
  other.epochs = 99;
  EXPECT_EQ(difference(items_of(one), items_of(other)), "hyperparameter epochs was 10 and is 99");
}

// As checkpoints of the first stage recorded it for a job without hyperparameters.
JobItems first_stage_items() {
  return {
      {"hyperparameter artifact_state", R"("best")"},
      {"hyperparameter batch_size", R"(64)"},
      {"hyperparameter beta1", R"(0.9)"},
      {"hyperparameter beta2", R"(0.999)"},
      {"hyperparameter clip_norm", R"(0.0)"},
      {"hyperparameter data", R"("files")"},
      {"hyperparameter epsilon", R"(1e-08)"},
      {"hyperparameter eval_every", R"(1)"},
      {"hyperparameter final_learning_rate", R"(0.0)"},
      {"hyperparameter input_mean", R"(0.0)"},
      {"hyperparameter input_std", R"(1.0)"},
      {"hyperparameter label_smoothing", R"(0.0)"},
      {"hyperparameter learning_rate", R"(0.01)"},
      {"hyperparameter loss", R"("cross_entropy")"},
      {"hyperparameter loss_scale", R"(65536.0)"},
      {"hyperparameter loss_scale_growth_interval", R"(2000)"},
      {"hyperparameter model_channels", R"([32,64])"},
      {"hyperparameter model_dropout", R"(0.25)"},
      {"hyperparameter model_hidden", R"([128])"},
      {"hyperparameter model_norm", R"("batch")"},
      {"hyperparameter momentum", R"(0.9)"},
      {"hyperparameter monitor", R"("loss:min")"},
      {"hyperparameter nesterov", R"(false)"},
      {"hyperparameter optimizer", R"("sgd")"},
      {"hyperparameter parameter_groups", R"([])"},
      {"hyperparameter precision", R"("fp32")"},
      {"hyperparameter schedule", R"("constant")"},
      {"hyperparameter schedule_gamma", R"(0.1)"},
      {"hyperparameter schedule_step_size", R"(0)"},
      {"hyperparameter seed", R"(1)"},
      {"hyperparameter shuffle", R"(true)"},
      {"hyperparameter synthetic_samples", R"(1024)"},
      {"hyperparameter warmup_steps", R"(0)"},
      {"hyperparameter weight_decay", R"(0.0)"},
  };
}

// To the letter, or they are another job's.
TEST(JobItems, CheckpointsOfTheFirstStageGoOn) {
  EXPECT_EQ(items_of({}), first_stage_items());
  JobItems recorded = first_stage_items();
  recorded["hyperparameter clip_norm"] = R"(1.0)";
  recorded["hyperparameter epochs"] = R"(10)";
  recorded["hyperparameter label_smoothing"] = R"(0.1)";
  recorded["hyperparameter max_steps"] = R"(0)";
  recorded["hyperparameter model_hidden"] = R"([64,32])";
  recorded["hyperparameter monitor"] = R"("accuracy:max")";
  recorded["hyperparameter optimizer"] = R"("adamw")";
  recorded["hyperparameter schedule"] = R"("cosine")";
  EXPECT_EQ(items_of(parse_hyperparameters({{"schedule", "cosine"},
                                            {"label_smoothing", 0.1},
                                            {"optimizer", "adamw"},
                                            {"model_hidden", "64,32"},
                                            {"monitor", "accuracy:max"},
                                            {"clip_norm", 1}})),
            recorded);
}

// Theirs did not know of them, and they mattered to nothing.
TEST(JobItems, WhatWasAddedSinceMattersWhereItIsUsed) {
  Hyperparameters other;
  other.columns = {{"image", "pixels"}};
  EXPECT_EQ(difference(first_stage_items(), items_of(other)),
            "hyperparameter columns was missing and is [\"image=pixels\"]");
  other = {.ignore_index = 0};
  EXPECT_EQ(difference(first_stage_items(), items_of(other)), "hyperparameter ignore_index was missing and is 0");
  other = {.class_weights = {1, 2}};
  EXPECT_EQ(difference(items_of(other), first_stage_items()),
            "hyperparameter class_weights was [1.0,2.0] and is missing");
}

TEST(JobItems, AnItemMayBeMissing) {
  EXPECT_EQ(difference({{"data", "1"}}, {}), "data was 1 and is missing");
  EXPECT_EQ(difference({}, {{"data", "1"}}), "data was missing and is 1");
}

}  // namespace
}  // namespace lockstep
