#include "engine/checkpoint/JobItems.h"

#include <nlohmann/json.hpp>

namespace lockstep {

namespace {

// `model` among them: the program itself is compared, wherever its file lies.
constexpr const char* kFree[] = {
    "model",
    "micro_batch_size",
    "eval_batch_size",
    "loader_threads",
    "patience",
    "metrics",
    "export",
    "passes",
    "checkpoint_every",
    "checkpoint_keep",
    "resume",
    "device",
    "cuda_graph",
    "tf32",
    "share_gpus",
    "ranks_per_host",
    "log_every",
    "bucket_cap_mb",
    "threads_per_rank",
    "hosts_timeout",
    "hosts_port",
    "instance_groups",
    "allow_operators",
    "secret_file",
    "allow_tcp",
    "exit_code_when_stopped",
};

}  // namespace

JobItems items_of(const Hyperparameters& hyperparameters) {
  nlohmann::json all = to_json(hyperparameters);
  for (const char* name : kFree) all.erase(name);
  if (hyperparameters.schedule == ScheduleKind::kConstant || hyperparameters.schedule == ScheduleKind::kStep) {
    all.erase("epochs");
    all.erase("max_steps");
  }
  if (hyperparameters.columns.empty()) all.erase("columns");  // as in checkpoints that do not know of it
  JobItems items;
  for (const auto& [name, value] : all.items()) items["hyperparameter " + name] = value.dump();
  return items;
}

std::string difference(const JobItems& saved, const JobItems& now) {
  const auto value = [](const JobItems& items, const std::string& name) {
    const auto found = items.find(name);
    return found == items.end() ? std::string("missing") : found->second;
  };
  for (const JobItems* items : {&now, &saved}) {
    for (const auto& [name, ignored] : *items) {
      if (value(saved, name) != value(now, name)) {
        return name + " was " + value(saved, name) + " and is " + value(now, name);
      }
    }
  }
  return "";
}

}  // namespace lockstep
