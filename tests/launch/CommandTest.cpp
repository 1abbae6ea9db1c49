// The program `lockstep` itself, up to the point at which it starts ranks.

#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>

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
  EXPECT_EQ(train_command({"--output_dir", output, "--channel", "train=/nowhere"}), 2);
  EXPECT_NE(failure(output).find("/nowhere is not a directory"), std::string::npos);
}

TEST(TrainCommand, ATextThatIsNotUtf8IsBadInput) {
  const TemporaryDirectory directory;
  EXPECT_EQ(train_command({"--output_dir", (directory / "output").string(), "--model", "\xff.pt2"}), 2);
  EXPECT_NE(failure(directory / "output").find("not UTF-8"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
