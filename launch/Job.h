// A job, resolved from all that says something about it.
#pragma once

#include <string>
#include <vector>

#include "job/JobConfig.h"
#include "launch/JobArguments.h"
#include "launch/JobEnvironment.h"

namespace lockstep {

struct Job {
  JobConfig config;                ///< of this host; threads and terminal are not set yet
  std::vector<std::string> hosts;  ///< in the order on which all hosts agree
  std::optional<int> gpus;         ///< that the container announces
  std::string instance_type;
  std::vector<std::string> notes;  ///< lines for the log: what was decided and may surprise
};

/// Flags win over the job file, which wins over the container. Paths in a job file are relative to the file. Outside a
/// container results go to ./model and ./output unless told otherwise. Throws InputError for whatever cannot be a job.
Job resolve_job(const JobEnvironment& environment, const JobArguments& arguments);

}  // namespace lockstep
