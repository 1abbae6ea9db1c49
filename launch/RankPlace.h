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

/// Nothing for a process that is no rank. Reads OpenMPI's variables (OMPI_…), PMIx's and PMI's (PMIX_RANK, PMI_RANK,
/// PMI_SIZE, MPI_LOCALRANKID), and Slurm's (SLURM_NTASKS, SLURM_LOCALID, SLURM_NODEID and tasks per node, as in
/// `2(x3),1`).
std::optional<RankPlace> rank_place(const Environment& environment);

}  // namespace lockstep
