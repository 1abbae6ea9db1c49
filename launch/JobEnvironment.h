// What the container says about the job: SageMaker's configuration files and SM_* variables.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "job/Hyperparameters.h"

namespace lockstep {

/// Environment variables by name. Passed in, so that nothing here reads the process's own.
using Environment = std::map<std::string, std::string>;

Environment process_environment();

/// Everything a container tells, resolved; empty outside a container.
///
/// A bare container has no SM_* variable: all values come from hyperparameters.json, resourceconfig.json and
/// inputdataconfig.json under BASE/input/config, and where checkpoints go (LocalPath) from checkpointconfig.json; each
/// file, and each of its keys, may be missing or null. An SM_* variable that is set wins over the file: SM_HOSTS,
/// SM_CURRENT_HOST, SM_NUM_GPUS, SM_CHANNELS and SM_CHANNEL_<NAME>, SM_MODEL_DIR, SM_OUTPUT_DIR, SM_OUTPUT_DATA_DIR,
/// SM_HPS and SM_HP_<NAME>.
struct JobEnvironment {
  bool container = false;          ///< a configuration directory or an SM_* variable was found
  std::string job_name;            ///< TRAINING_JOB_NAME, SAGEMAKER_JOB_NAME, or ""
  std::string current_host;        ///< `algo-1`, …; "localhost" when nothing says
  std::vector<std::string> hosts;  ///< in natural order (algo-2 before algo-10); at least one
  std::optional<int> gpus;         ///< SM_NUM_GPUS
  std::map<std::string, std::filesystem::path> channels;
  std::filesystem::path model_dir;
  std::filesystem::path checkpoint_dir;  ///< "" when the container has no place for checkpoints
  std::filesystem::path output_dir;
  std::filesystem::path output_data_dir;
  RawHyperparameters hyperparameters;
};

/// Reads it. The base directory is `base_dir`, else SAGEMAKER_BASE_DIR, else /opt/ml. Throws InputError, naming file or
/// variable and place, for JSON that does not parse or has another type than the contract says.
JobEnvironment read_job_environment(const Environment& environment,
                                    const std::optional<std::filesystem::path>& base_dir);

/// Where the container wants to find `failure`, or nothing outside a container. Reads no file: it is for saying that
/// one of them cannot be read.
std::optional<std::filesystem::path> container_output_dir(const Environment& environment,
                                                          const std::optional<std::filesystem::path>& base_dir);

/// Whether `a` comes before `b` when runs of digits count as numbers: algo-2 before algo-10.
bool natural_less(const std::string& a, const std::string& b);

}  // namespace lockstep
