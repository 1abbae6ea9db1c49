// What mpirun or srun says to a process that it has started.
#pragma once

#include <optional>

#include "launch/JobEnvironment.h"

namespace lockstep {

/// The place of a process among the ranks, as far as its launcher tells.
struct RankPlace {
  int rank = 0;
  int ranks = 0;        ///< 0: it does not say
  int local_rank = -1;  ///< among the ranks of this host; -1: it does not say
  std::optional<int> ranks_on_host{};
};

/// Nothing for a process that is no rank. A rank has all of PMIX_RANK, PMIX_NAMESPACE and PMIX_SERVER_URI…, as MPI
/// needs them to find the others; OpenMPI's mpirun adds OMPI_COMM_WORLD_…, with the same rank; srun --mpi=pmix names
/// its step in PMIX_NAMESPACE, and this process must be of that step. Places come from OMPI_COMM_WORLD_… or from
/// Slurm's variables (SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_NODEID and tasks per node, as in `2(x3),1`).
///
/// The only task of a step (an interactive shell is one) has nobody to find, and is none: it may start ranks itself.
///
/// Throws InputError, with the variables, when some of this is there and the rest is not or says something else: such
/// variables come from an interactive shell or from a step that is over, and a job that believed them would train
/// beside the one that is meant.
std::optional<RankPlace> rank_place(const Environment& environment);

/// Whether the daemon that a rank's variables lead to (PMIX_SERVER_URI…) is still there. Throws InputError, with the
/// variable, when it is not: MPI would end the process without a word that helps.
void require_running_launcher(const Environment& environment);

/// The tasks of srun's step when this process is one of several that know nothing of each other, as without PMIx; else
/// 1. Each would train the whole job.
int tasks_without_mpi(const Environment& environment);

/// GPUs of this host that Slurm has given to the job; 0 when it says nothing.
int gpus_by_scheduler(const Environment& environment);

}  // namespace lockstep
