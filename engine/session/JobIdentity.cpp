#include "engine/session/JobIdentity.h"

#include <torch/version.h>

#include <nlohmann/json.hpp>

namespace lockstep {

std::vector<std::pair<std::string, std::string>> rank_identity(const Hyperparameters& hyperparameters,
                                                               const LoadedJob& job, const BucketPlan& buckets) {
  nlohmann::json values = to_json(hyperparameters);
  for (const char* own : {"ranks_per_host", "threads_per_rank", "loader_threads", "secret_file"}) values.erase(own);
  std::vector<std::pair<std::string, std::string>> items = {{"Lockstep version", LOCKSTEP_VERSION},
                                                            {"libtorch version", TORCH_VERSION},
                                                            {"program", job.program.digest},
                                                            {"bucket plan", buckets.digest()}};
  for (const auto& [name, value] : values.items()) items.emplace_back("hyperparameter " + name, value.dump());
  for (const auto& [channel, samples] : job.data.samples) {
    items.emplace_back("data of channel " + channel, samples.digest());
  }
  return items;
}

JobItems checkpoint_identity(const Hyperparameters& hyperparameters, const LoadedJob& job) {
  JobItems items = items_of(hyperparameters);
  for (const auto& [channel, samples] : job.data.samples) items["data of channel " + channel] = samples.digest();
  items["program"] = job.program.digest;
  return items;
}

}  // namespace lockstep
