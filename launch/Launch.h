// A job that has been checked, with the place of its ranks.
#pragma once

#include <optional>

#include "launch/Job.h"
#include "launch/JobEnvironment.h"
#include "launch/RankPlace.h"
#include "launch/Topology.h"

namespace lockstep {

/// A checked job, and where it runs as far as this host knows.
struct Launch {
  Job job;
  Topology topology;
};

/// Checks the job and looks at this machine: its name among the hosts, cores, GPUs, EFA. `place`: of this process, when
/// mpirun or srun has started it as a rank. Throws InputError for a job that cannot run as it is given, or is not what
/// was started. What this machine lacks is listed in `Launch::job.absent`: `plan` prints it, `train` refuses it.
Launch make_launch(Job job, const Environment& environment, const std::optional<RankPlace>& place);

}  // namespace lockstep
