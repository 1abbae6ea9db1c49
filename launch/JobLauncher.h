// Runs a job from the launcher of one of its hosts.
#pragma once

#include <string>
#include <vector>

#include "launch/EarlyStop.h"
#include "launch/Launch.h"
#include "launch/Supervisor.h"

namespace lockstep {

/// The variable by which a rank finds the job that its host's launcher has resolved.
inline constexpr const char* kJobVariable = "LOCKSTEP_JOB";

/// mpirun with all its arguments, as the job's first host runs it when the others are like this one. `arguments`: of
/// `lockstep train`.
std::vector<std::string> launch_command(const Launch& launch, const std::vector<std::string>& arguments);

/// Starts the ranks of this host, of all hosts when it leads them, and stays until the job has ended everywhere.
/// Returns the job's exit code, the same on all hosts; when it is not 0, output_dir/failure says why. `early` is over
/// when the supervisor waits.
int run_job(Supervisor& supervisor, EarlyStop& early, const Launch& launch, const std::vector<std::string>& arguments);

}  // namespace lockstep
