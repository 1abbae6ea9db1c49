// The program `lockstep` itself, up to the point at which it starts ranks.

#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "common/FailureFile.h"
#include "common/File.h"
#include "launch/TrainCommand.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string failure(const fs::path& output_dir) {
  return fs::exists(output_dir / "failure") ? read_file(output_dir / "failure", 4096) : "";
}

TEST(TrainCommand, ARefusedContainerSaysWhyWhereSageMakerLooks) {
  const TemporaryDirectory base;
  fs::create_directories(base / "input/config");
  ::setenv("SAGEMAKER_BASE_DIR", base.path().c_str(), 1);
  EXPECT_EQ(train_command({"--epochs"}), 2);
  EXPECT_NE(failure(base / "output").find("--epochs needs a value"), std::string::npos);
  fs::remove(base / "output/failure");
  std::ofstream(base / "input/config/hyperparameters.json") << "{\"epochs\":";
  EXPECT_EQ(train_command({}), 2);
  EXPECT_NE(failure(base / "output").find("hyperparameters.json is not JSON"), std::string::npos);
  ::unsetenv("SAGEMAKER_BASE_DIR");
}

TEST(TrainCommand, AnEarlierFailureGivesWay) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "output");
  std::ofstream(directory / "output/failure") << "of an earlier job";
  const std::string output = (directory / "output").string();
  EXPECT_EQ(train_command({"--output_dir", output, "--print-config"}), 0);
  EXPECT_EQ(failure(output), "of an earlier job");
  std::ofstream(directory / "output/success").flush();
  EXPECT_EQ(train_command({"--output_dir", output, "--channel", "train=/nowhere"}), 2);
  EXPECT_NE(failure(output).find("/nowhere is not a directory"), std::string::npos);
  EXPECT_FALSE(fs::exists(directory / "output/success"));
  write_success_file(output);
  EXPECT_FALSE(fs::exists(directory / "output/success"));
  remove_ending_files(output);
  write_success_file(output);
  EXPECT_TRUE(fs::is_empty(directory / "output/success"));
}

TEST(TrainCommand, AHostThatTakesNoPartLeavesAtOnce) {
  const TemporaryDirectory base;
  fs::create_directories(base / "input/config");
  std::ofstream(base / "input/config/resourceconfig.json") << R"({"current_host":"algo-1","hosts":["algo-1","algo-2"],
      "current_instance_type":"ml.g5.xlarge","instance_groups":[{"instance_group_name":"a","hosts":["algo-1"]},
      {"instance_group_name":"b","hosts":["algo-2"]}]})";
  std::ofstream(base / "input/config/inputdataconfig.json") << R"({"train":{"TrainingInputMode":"Pipe"}})";
  EXPECT_EQ(train_command({"--base_dir", base.path().string(), "--instance_groups", "b"}), 0);
  EXPECT_FALSE(fs::exists(base / "output"));
  EXPECT_FALSE(fs::exists(base / "model"));
  EXPECT_EQ(train_command({"--base_dir", base.path().string(), "--instance_groups", "a"}), 2);
}

TEST(TrainCommand, ATextThatIsNotUtf8IsBadInput) {
  const TemporaryDirectory directory;
  EXPECT_EQ(train_command({"--output_dir", (directory / "output").string(), "--model", "\xff.pt2"}), 2);
  EXPECT_NE(failure(directory / "output").find("not UTF-8"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
