// A job as one rank needs to know it: typed hyperparameters, the host's own paths, and how results are shown.
//
// `lockstep` resolves it from the container, a job file and flags, writes it as one JSON document, and `lockstep-rank`
// reads that document and nothing else: no environment variable and no second parser decides anything in a rank.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "job/Hyperparameters.h"

namespace lockstep {

struct JobConfig {
  std::string job_name;                                   ///< "" when nobody named it
  std::string host = "localhost";                         ///< this host's name (`algo-1`, …)
  std::map<std::string, std::filesystem::path> channels;  ///< channel name → its directory on this host
  std::map<std::string, std::string> content_types;       ///< channel name → its ContentType, where one is said
  std::filesystem::path model_dir;                        ///< artifacts go here (SM_MODEL_DIR)
  std::filesystem::path checkpoint_dir;                   ///< checkpoints are here; "" when the job has none
  std::filesystem::path output_data_dir;                  ///< metrics.jsonl goes here (SM_OUTPUT_DATA_DIR)
  std::filesystem::path output_dir;                       ///< `failure` goes here (SM_OUTPUT_DIR)
  std::int64_t threads = 1;                               ///< compute threads of a rank on this host
  std::int64_t cores = 1;                                 ///< of this host that the job may use
  std::int64_t gpus = 0;              ///< of this host that the job computes on; 0: it computes on the cores
  std::int64_t local_rank = -1;       ///< among the ranks of this host, as mpirun or srun says; -1 when it says nothing
  std::int64_t announced_ranks = 0;   ///< that mpirun or srun says it started; 0 when it says nothing
  std::filesystem::path status_file;  ///< of the launcher (RankStatus); "" when there is none of ours
  std::filesystem::path pages_file;   ///< of the launcher (RankPages); "" when there is none of ours
  bool efa = false;                   ///< this host has EFA, and NCCL is to use it
  bool terminal = false;              ///< a person watches: progress lines may be redrawn
  std::set<std::string> given;        ///< hyperparameters that somebody gave a value; the others have their defaults
  Hyperparameters hyperparameters;
};

std::string write_job_config(const JobConfig& config);

/// Throws InputError for text that write_job_config did not write.
JobConfig read_job_config(const std::string& json);

}  // namespace lockstep
