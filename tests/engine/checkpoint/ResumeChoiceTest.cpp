#include "engine/checkpoint/ResumeChoice.h"

#include <gtest/gtest.h>

#include <fstream>

#include "common/Error.h"
#include "engine/checkpoint/CheckpointState.h"
#include "engine/collectives/MpiCommunicator.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

/// Each rank has a directory of its own, as ranks of several hosts may.
class ResumeChoiceTest : public testing::Test {
 protected:
  CheckpointDirectory directory(const JobItems& job) const { return {place_ / "checkpoints", job}; }
  void write(std::int64_t step, const std::string& content = "same") const { write(step, content, job_); }
  void write(std::int64_t step, const std::string& content, const JobItems& job) const {
    directory(job).write(step, [&](const fs::path& made) {
      std::ofstream(made / kStateFile) << write_state({.step = step, .job = job});
      std::ofstream(made / "model.safetensors") << content;
    });
  }
  void damage(std::int64_t step) const { std::ofstream(directory(job_).path_of(step) / "model.safetensors") << "SAME"; }
  ResumeChoice choose() {
    return choose_checkpoint(communicator_, directory(job_), [this](std::int64_t step) { check(step); });
  }
  int rank() const { return communicator_.rank(); }
  void check(std::int64_t step) const {
    directory(job_).verify(step);
    if (step == unusable_) throw InputError("nobody can go on from " + std::to_string(step));
  }

  std::int64_t unusable_ = -1;
  JobItems job_ = {{"data", "1"}, {"hyperparameter seed", "1"}};

 private:
  TemporaryDirectory place_;
  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
};

TEST_F(ResumeChoiceTest, NothingThereStartsAnew) {
  const ResumeChoice choice = choose();
  EXPECT_FALSE(choice.step);
  EXPECT_TRUE(choice.passed_over.empty());
}

TEST_F(ResumeChoiceTest, TheNewestThatAllHave) {
  write(10);
  write(20);
  if (rank() == 1) write(30);
  const ResumeChoice choice = choose();
  EXPECT_EQ(choice.step, 20);
  ASSERT_EQ(choice.passed_over.size(), 1);
  EXPECT_EQ(choice.passed_over[0], "step-000000030: rank 0 does not find it");
}

TEST_F(ResumeChoiceTest, DamageOnOneRankIsSeenByAll) {
  for (const int step : {10, 20, 30}) write(step);
  if (rank() == 2) damage(30);
  if (rank() == 1) fs::remove(directory(job_).path_of(20) / "manifest.json");
  const ResumeChoice choice = choose();
  EXPECT_EQ(choice.step, 10);
  ASSERT_EQ(choice.passed_over.size(), 2);
  EXPECT_NE(choice.passed_over[0].find("step-000000030/model.safetensors has the checksum"), std::string::npos);
  EXPECT_NE(choice.passed_over[1].find("manifest.json: No such file"), std::string::npos) << choice.passed_over[1];
}

// A manifest may fit content that the job cannot go on from.
TEST_F(ResumeChoiceTest, WhatOneRankCannotUseIsPassedOverByAll) {
  for (const int step : {10, 20, 30}) write(step);
  if (rank() == 1) unusable_ = 30;
  const ResumeChoice choice = choose();
  EXPECT_EQ(choice.step, 20);
  ASSERT_EQ(choice.passed_over.size(), 1);
  EXPECT_EQ(choice.passed_over[0], "step-000000030: nobody can go on from 30");
}

TEST_F(ResumeChoiceTest, OthersOfWhichNothingCanBeReadAreNotRefusedForWhatTheyAre) {
  CheckpointDirectory(directory(job_).path(), {{"data", "2"}}).write(10, [](const fs::path& made) {
    std::ofstream(made / kStateFile) << "{}";
  });
  const ResumeChoice choice = choose();
  EXPECT_FALSE(choice.step);
  EXPECT_EQ(choice.passed_over.at(0), "step-000000010: it is another job's");
}

TEST_F(ResumeChoiceTest, TheSameNameIsNotTheSameCheckpoint) {
  write(10);
  write(20, rank() == 2 ? "diff" : "same");
  const ResumeChoice choice = choose();
  EXPECT_EQ(choice.step, 10);
  EXPECT_EQ(choice.passed_over.at(0), "step-000000020: rank 2 finds another one under this name than rank 0");
}

TEST_F(ResumeChoiceTest, OnlyDamagedOnesStartAnew) {
  write(10);
  damage(10);
  EXPECT_FALSE(choose().step);
  EXPECT_EQ(choose().passed_over.size(), 1);
}

TEST_F(ResumeChoiceTest, OthersAreRefusedByWhatDiffers) {
  write(10, "same", {{"data", "1"}, {"hyperparameter seed", "2"}});
  EXPECT_ERROR(choose(), CollectiveError, "step-000000010", "another job", "hyperparameter seed was 2 and is 1",
               "checkpoint_dir");
}

TEST_F(ResumeChoiceTest, OneRanksOthersAreEveryonesError) {
  if (rank() == 1) write(10, "same", {{"data", "2"}, {"hyperparameter seed", "1"}});
  EXPECT_ERROR(choose(), CollectiveError, "rank 1 of 3", "data was 2 and is 1");
}

TEST_F(ResumeChoiceTest, OthersBesideOursArePassedOver) {
  write(10);
  write(20, "same", {{"data", "2"}});
  const ResumeChoice choice = choose();
  EXPECT_EQ(choice.step, 10);
  EXPECT_EQ(choice.passed_over.at(0), "step-000000020: it is another job's");
}

}  // namespace
}  // namespace lockstep
