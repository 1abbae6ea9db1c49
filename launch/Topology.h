// Where the ranks of a job run.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "launch/Job.h"

namespace lockstep {

/// What this machine has.
struct Machine {
  int cores = 1;       ///< that this process may use
  bool bound = false;  ///< the process may use only some of the host's cores
  int gpus = 0;        ///< that a CUDA program would see
  bool cuda = true;    ///< this build computes on GPUs
};

/// Cores by affinity and control-group quota, of which a part of a core is none; GPUs by asking the driver in a child
/// process, so that this one stays free of it. `root`: below which the control group's files are.
Machine inspect_machine(const std::filesystem::path& root = "/");

/// One host and its ranks.
struct HostPlan {
  std::string name;
  int gpus = 0;  ///< that its ranks compute on; 0: they compute on its cores
  int ranks = 1;
  int threads_per_rank = 1;
};

/// Ranks are numbered host by host. A value: it starts nothing.
struct Topology {
  std::vector<HostPlan> hosts;
  std::vector<std::string> warnings;  ///< to be seen: what the machine has and the job does not use
  std::vector<std::string> absent{};  ///< GPUs that the job needs and are not on this machine: planned all the same

  int ranks() const;
  /// The name of the host that has this rank.
  const std::string& host_of(int rank) const;
  bool oversubscribed = false;  ///< some host has more ranks than cores
};

/// Throws InputError for a global batch that leaves ranks without data in every step.
void require_data_for(const Topology& topology, const Hyperparameters& hyperparameters);

/// One rank per GPU that is visible (SM_NUM_GPUS may ask for fewer), without GPUs `ranks_per_host`. A job that cannot
/// be placed here is planned with the GPUs it needs, and `absent` says, with the numbers, what is not there: GPUs are
/// asked for, or the host's instance type has them, and none is visible, or fewer than the ranks. Throws InputError for
/// fewer samples of a step than ranks. Of the job's other hosts this one knows the names only, and takes them to be
/// like itself until they have reported. `ranks_on_host`: how many ranks mpirun or srun has already started on this
/// host; the job's own number does not count then, and cores that a rank is bound to are its alone.
Topology plan_topology(const Job& job, const Machine& machine, std::optional<int> ranks_on_host = std::nullopt);

}  // namespace lockstep
