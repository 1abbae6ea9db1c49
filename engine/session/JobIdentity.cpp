#include "engine/session/JobIdentity.h"

#include <torch/version.h>

#include <nlohmann/json.hpp>

#include "common/Version.h"
#include "job/HyperparameterTable.h"

namespace lockstep {

std::vector<std::pair<std::string, std::string>> rank_identity(const Hyperparameters& hyperparameters,
                                                               const LoadedJob& job, const BucketPlan& buckets) {
  std::vector<std::pair<std::string, std::string>> items = {{"Lockstep version", kLockstepVersion},
                                                            {"libtorch version", TORCH_VERSION},
                                                            {"program", job.program.digest},
                                                            {"bucket plan", buckets.digest()}};
  for (const HyperparameterRow& row : hyperparameter_table()) {
    if (row.own == Own::kNobody) items.emplace_back("hyperparameter " + row.name, row.get(hyperparameters).dump());
  }
  for (const auto& [channel, samples] : job.data.samples) {
    items.emplace_back("data of channel " + channel, samples.digest());
  }
  items.emplace_back("what was computed of columns", job.data.fields);
  return items;
}

JobItems checkpoint_identity(const Hyperparameters& hyperparameters, const LoadedJob& job) {
  JobItems items = items_of(hyperparameters);
  for (const auto& [channel, samples] : job.data.samples) items["data of channel " + channel] = samples.digest();
  if (!job.data.fields.empty()) items["what becomes of columns"] = job.data.fields;
  items["program"] = job.program.digest;
  return items;
}

}  // namespace lockstep
