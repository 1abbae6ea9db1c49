// A job, resolved from all that says something about it.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "job/JobConfig.h"
#include "launch/JobArguments.h"
#include "launch/JobEnvironment.h"

namespace lockstep {

struct Job {
  JobConfig config;                ///< of this host; threads and terminal are not set here
  bool container = false;          ///< SageMaker, or who stands in for it, reads what the job leaves
  std::vector<std::string> hosts;  ///< that train, in the order on which all hosts agree
  Launcher launcher = Launcher::kConnection;
  bool takes_part = true;         ///< this host is one of them
  std::optional<int> gpus;        ///< that the container announces
  int scheduled_gpus = 0;         ///< of this host, that a cluster's scheduler has given to the job; not set here
  std::string network_interface;  ///< that the container names, or ""
  std::string instance_type;      ///< of this host, as the container names it, or ""
  std::vector<InstanceGroup> instance_groups;
  std::set<std::string> piped_channels;
  std::set<std::string> wrapped_channels;
  std::set<std::string> sharded_channels;
  RawHyperparameters hyperparameters;  ///< as given; `check_job` reads them into `config`
  std::string secret;                  ///< that the job's hosts show each other, or ""
  std::vector<std::string> notes;      ///< lines for the log: what was decided and may surprise
  /// What the job needs and is not on this machine. Such a job can be planned here, and not run.
  std::vector<std::string> absent;
};

/// Brings together what is said about the job. Flags win over the job file, which wins over the container. Paths in a
/// job file are relative to the file. Outside a container results go to ./model and ./output unless told otherwise.
/// Throws InputError for a job file that cannot be read.
Job gather_job(const JobEnvironment& environment, const JobArguments& arguments);

/// Reads the hyperparameters into their types and the job's secret, leaves those hosts that train, and checks the
/// channels if this host is one of them. Throws InputError for whatever cannot be a job; what is only not here goes to
/// `absent`. Two steps, so that a caller whose job is refused knows where to say so.
void check_job(Job& job);

/// Whether this host may have no file of a channel: each host has files of its own.
bool may_lack_files(const Job& job, const std::string& channel);

/// Throws InputError, with the first of them, when something is absent.
void require_present(const std::vector<std::string>& absent);

}  // namespace lockstep
