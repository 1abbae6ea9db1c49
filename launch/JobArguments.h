// What the command line says about the job.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "job/Hyperparameters.h"

namespace lockstep {

/// How ranks are started on several hosts.
enum class Launcher {
  kConnection,  ///< `lockstep train` runs on every host, and they meet
  kSsh,         ///< it runs on one, and mpirun reaches the others by ssh
};

/// Throws InputError for a text that names none.
Launcher launcher_named(const std::string& name);

/// The arguments of `lockstep train` and `lockstep plan`: at most one job file; `--NAME VALUE` or `--NAME=VALUE` for
/// every hyperparameter (dashes and underscores are alike; `-x VALUE` for a name of one letter); `--channel NAME=DIR`,
/// once per channel; `--job_name`; `--model_dir`, `--checkpoint_dir`, `--output_dir`, `--output_data_dir`,
/// `--base_dir`;
/// `--help`, `--print-config`.
struct JobArguments {
  std::optional<std::filesystem::path> job_file;
  std::optional<std::filesystem::path> base_dir;
  std::map<std::string, std::filesystem::path> channels;
  std::optional<std::string> job_name;                       ///< `--job_name`
  std::vector<std::string> hosts;                            ///< `--hosts a,b`; none: what else says
  std::optional<Launcher> launcher;                          ///< `--launcher`
  std::map<std::string, std::filesystem::path> directories;  ///< by flag: model_dir, checkpoint_dir, …
  RawHyperparameters hyperparameters;
  bool help = false;
  bool print_config = false;
};

/// Throws InputError for what it does not know; names that nobody knows are left to parse_hyperparameters, which
/// suggests the nearest.
JobArguments parse_job_arguments(const std::vector<std::string>& arguments);

/// What `--output_dir` says, also among arguments that parse_job_arguments refuses: it is for saying that it does.
std::optional<std::filesystem::path> output_dir_among(const std::vector<std::string>& arguments);

}  // namespace lockstep
