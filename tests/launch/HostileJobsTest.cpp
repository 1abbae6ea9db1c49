// Job files and a container's files that were changed at random: each is refused or makes a job. `make soak` tries
// more.
#include <gtest/gtest.h>

#include <fstream>

#include "common/Text.h"
#include "launch/Job.h"
#include "tests/support/HostileCases.h"
#include "tests/support/JsonMutator.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct Files {
  json job = {{"job_name", "a"},
              {"model", "mlp"},
              {"epochs", 2},
              {"batch_size", 32},
              {"learning_rate", 0.1},
              {"hosts", {"localhost"}},
              {"channels", {{"train", "data"}}},
              {"model_dir", "model"},
              {"export", {"pt2"}},
              {"parameter_groups", {{{"match", "*.bias"}, {"weight_decay", 0}}}}};
  json hyperparameters = {{"epochs", "2"},        {"batch_size", "32"}, {"model_hidden", "[8, 8]"},
                          {"schedule", "cosine"}, {"export", "pt2"},    {"input_mean", "(0.5,)"}};
  json resources = {
      {"current_host", "algo-1"},
      {"current_instance_type", "ml.c5.xlarge"},
      {"current_group_name", "a"},
      {"hosts", {"algo-1", "algo-2"}},
      {"instance_groups",
       {{{"instance_group_name", "a"}, {"instance_type", "ml.c5.xlarge"}, {"hosts", {"algo-2", "algo-1"}}}}},
      {"network_interface_name", "eth0"},
      {"topology", nullptr}};
  json inputs = {{"train", {{"TrainingInputMode", "File"}, {"S3DistributionType", "FullyReplicated"}}},
                 {"test", {{"TrainingInputMode", "FastFile"}}}};
  json checkpoints = {{"LocalPath", "/tmp/checkpoints"}, {"S3Uri", "s3://b/c"}};

  std::string change(int i) {
    JsonMutator mutator(static_cast<std::uint64_t>(i));
    json* const all[] = {&job, &hyperparameters, &resources, &inputs, &checkpoints};
    const char* const names[] = {"job", "hyperparameters", "resources", "inputs", "checkpoints"};
    const auto which = static_cast<std::size_t>(i) % std::size(all);
    std::string changes = names[which];
    for (int n = i / 7 % 2; n >= 0; --n) changes += mutator.mutate(*all[which]) + "; ";
    return changes;
  }
  static void put(const fs::path& path, const json& document) {
    std::ofstream(path) << document.dump(-1, ' ', false, json::error_handler_t::replace);
  }
};

void gather(const TemporaryDirectory& place, int i) {
  Files files;
  files.change(i);
  fs::create_directories(place / "base/input/config");
  fs::create_directories(place / "data");
  Files::put(place / "job.json", files.job);
  Files::put(place / "base/input/config/hyperparameters.json", files.hyperparameters);
  Files::put(place / "base/input/config/resourceconfig.json", files.resources);
  Files::put(place / "base/input/config/inputdataconfig.json", files.inputs);
  Files::put(place / "base/input/config/checkpointconfig.json", files.checkpoints);
  const auto make = [](const JobEnvironment& environment, const JobArguments& arguments) {
    Job job = gather_job(environment, arguments);
    check_job(job);
    read_job_config(write_job_config(job.config));
  };
  if (i % 5 == 0) {
    make(read_job_environment({}, place / "empty"), parse_job_arguments({(place / "job.json").string()}));
  } else {
    make(read_job_environment({}, place / "base"), {});
  }
}

TEST(HostileJobs, AreRefusedOrMakeAJob) {
  const TemporaryDirectory place;
  const CaseResults results = run_hostile_cases(
      soaking() ? 3000 : 600, [&](int i) { gather(place, i); }, [](int i) { return Files().change(i); });
  EXPECT_TRUE(results.failures.empty()) << join(results.failures, "\n");
  EXPECT_GT(results.refused, 50);
}

// What a hyperparameter means is JSON, Python or a text: nested deep it is none of the first two.
TEST(HostileJobs, MayNestNothingDeep) {
  const TemporaryDirectory place;
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  fs::create_directories(place / "base/input/config");
  for (const char* name : {"hyperparameters", "resourceconfig", "inputdataconfig", "checkpointconfig"}) {
    const fs::path file = place / ("base/input/config/" + std::string(name) + ".json");
    for (const std::string& text : {deep, R"({"epochs": )" + deep + "}"}) {
      std::ofstream(file) << text;
      const CaseResults results = run_hostile_cases(
          1, [&](int) { read_job_environment({}, place / "base"); }, [&](int) { return name; });
      EXPECT_TRUE(results.failures.empty()) << join(results.failures, "\n");
      EXPECT_EQ(results.refused, 1) << name;
    }
    fs::remove(file);
  }
}

}  // namespace
}  // namespace lockstep
