// What the container says about the job: SageMaker's configuration files and SM_* variables.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "job/Hyperparameters.h"

namespace lockstep {

/// Environment variables by name. Passed in, so that nothing here reads the process's own.
using Environment = std::map<std::string, std::string>;

Environment process_environment();

/// Hosts of one instance type in a heterogeneous job. An ordinary job has one group, or none.
struct InstanceGroup {
  std::string name;
  std::string instance_type;       ///< "" when nothing says
  std::vector<std::string> hosts;  ///< as written, in no order; empty when nothing says
};

/// Everything a container tells, resolved; empty outside a container.
///
/// A bare container has no SM_* variable: all values come from hyperparameters.json, resourceconfig.json and
/// inputdataconfig.json under BASE/input/config, and where checkpoints go (LocalPath) from checkpointconfig.json; each
/// file, and each of its keys, may be missing, null or unknown. An SM_* variable that says one thing, and is not empty,
/// wins over the file; SM_RESOURCE_CONFIG and SM_INPUT_DATA_CONFIG, which repeat a file, count where there is none.
/// docs/sagemaker.md has every variable.
struct JobEnvironment {
  bool container = false;                      ///< a configuration directory or an SM_* variable was found
  std::string job_name;                        ///< TRAINING_JOB_NAME, SAGEMAKER_JOB_NAME, or ""
  std::string current_host;                    ///< `algo-1`, …; "localhost" when nothing says
  std::vector<std::string> hosts;              ///< in natural order (algo-2 before algo-10); at least one
  std::vector<InstanceGroup> instance_groups;  ///< none when nothing says
  std::string instance_type;      ///< of this host: `ml.p4d.24xlarge`, `local_gpu`, …; "" when nothing says
  std::string network_interface;  ///< "" when nothing says
  std::optional<int> gpus;        ///< SM_NUM_GPUS
  std::map<std::string, std::filesystem::path> channels;
  std::map<std::string, std::string> content_types;  ///< channel → its ContentType, where one is said
  std::set<std::string> piped_channels;              ///< TrainingInputMode is Pipe: there is no directory
  std::set<std::string> wrapped_channels;            ///< RecordWrapperType is RecordIO: of Pipe, each record is a file
  std::set<std::string> sharded_channels;  ///< S3DistributionType is ShardedByS3Key: each host has files of its own
  std::filesystem::path model_dir;
  std::filesystem::path checkpoint_dir;  ///< "" when the container has no place for checkpoints
  std::filesystem::path output_dir;
  std::filesystem::path output_data_dir;
  RawHyperparameters hyperparameters;
  std::string secret;  ///< LOCKSTEP_JOB_SECRET, or ""
};

/// Reads it. The base directory is `base_dir`, else SAGEMAKER_BASE_DIR, else /opt/ml. Throws InputError, naming file or
/// variable and place, for JSON that does not parse or has another type than the contract says.
JobEnvironment read_job_environment(const Environment& environment,
                                    const std::optional<std::filesystem::path>& base_dir);

/// Where the container wants to find `failure`, or nothing outside a container. Reads no file: it is for saying that
/// one of them cannot be read.
std::optional<std::filesystem::path> container_output_dir(const Environment& environment,
                                                          const std::optional<std::filesystem::path>& base_dir);

/// Natural order; throws InputError, with `origin`, for a list that names a host twice, or one by what is no name.
std::vector<std::string> in_natural_order(std::vector<std::string> hosts, const std::string& origin);

/// Whether a text is an address, as s3://bucket/x is, and no directory or file of this host.
bool is_address(const std::string& text);

/// Whether a link is at `path` whose target is not there, so that whoever follows it sees nothing.
bool is_dead_link(const std::filesystem::path& path);

/// Whether `a` comes before `b` when runs of digits count as numbers: algo-2 before algo-10.
bool natural_less(const std::string& a, const std::string& b);

}  // namespace lockstep
