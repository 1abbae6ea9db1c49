// The program `lockstep` itself, up to the point at which it starts ranks.

#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "common/FailureFile.h"
#include "common/File.h"
#include "launch/PlanCommand.h"
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
  const std::string absent = (directory / "absent").string();
  EXPECT_EQ(train_command({"--output_dir", output, "--channel", "train=" + absent}), 2);
  EXPECT_NE(failure(output).find(absent + " is not a directory"), std::string::npos);
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

std::string planned(const std::vector<std::string>& arguments) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(plan_command(arguments), 0);
  return testing::internal::GetCapturedStdout();
}

// Planning is done on laptops: data, a program, GPUs, the hosts' names and mpirun may all be elsewhere.
TEST(PlanCommand, WarnsOfWhatIsMissingHereAndTrainRefusesIt) {
  const TemporaryDirectory directory;
  const std::string channel = "train=" + (directory / "data").string();
  const std::string output = (directory / "output").string();
  const std::vector<std::string> job = {"--channel", channel, "--output_dir", output};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), job.begin(), job.end());
    return more;
  };
  const std::string data = planned(job);
  EXPECT_NE(data.find("WARNING: not here, and `lockstep train` needs it: channel \"train\""), std::string::npos)
      << data;
  EXPECT_NE(data.find("\ncommand   mpirun -np 1 "), std::string::npos) << data;
  EXPECT_EQ(train_command(job), 2);
  EXPECT_NE(failure(output).find("data is not a directory"), std::string::npos);

  const std::string gpus = planned(with({"--device", "cuda", "--ranks_per_host", "8"}));
  EXPECT_NE(gpus.find("WARNING: not here"), std::string::npos) << gpus;
  EXPECT_NE(gpus.find(": 8 ranks on 8 GPUs, "), std::string::npos) << gpus;

  const std::string model = planned(with({"--model", (directory / "m.pt2").string()}));
  EXPECT_NE(model.find("m.pt2 is not a file"), std::string::npos) << model;

  const std::string hosts = planned(with({"--hosts", "there-1.invalid,there-2.invalid"}));
  EXPECT_NE(hosts.find("none of the hosts there-1.invalid, there-2.invalid is this machine"), std::string::npos);
  EXPECT_NE(hosts.find("host      there-2.invalid: 1 rank on the CPU"), std::string::npos) << hosts;

  const std::string path = ::getenv("PATH");
  ::setenv("PATH", directory.path().c_str(), 1);
  const std::string tools = planned(job);
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_NE(tools.find("command   not known here: mpirun is not on PATH"), std::string::npos) << tools;
}

// Whatever is refused says so in `failure`, also when the arguments make no job.
TEST(TrainCommand, ArgumentsThatMakeNoJobLeaveAFailure) {
  const TemporaryDirectory directory;
  const std::string output = (directory / "output").string();
  EXPECT_EQ(train_command({"--output_dir", output, "--epochs"}), 2);
  EXPECT_NE(failure(output).find("--epochs needs a value"), std::string::npos);
  fs::remove_all(output);
  fs::create_directory(output);
  std::ofstream(fs::path(output) / "failure") << "of an earlier job";
  EXPECT_EQ(train_command({(directory / "none.json").string(), "--output_dir=" + output}), 2);
  EXPECT_NE(failure(output).find("none.json"), std::string::npos);
  EXPECT_TRUE(write_failure_file(directory / "empty", ""));
  EXPECT_NE(failure(directory / "empty"), "");
}

TEST(TrainCommand, ATextThatIsNotUtf8IsBadInput) {
  const TemporaryDirectory directory;
  EXPECT_EQ(train_command({"--output_dir", (directory / "output").string(), "--model", "\xff.pt2"}), 2);
  EXPECT_NE(failure(directory / "output").find("not UTF-8"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
