// `lockstep train`.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// Runs a job: starts its ranks and waits for them, or, when this process was started as a rank by mpirun or srun,
/// becomes that rank. Returns the job's exit code.
int train_command(const std::vector<std::string>& arguments);

/// Prints what both `train` and `plan` take.
void print_train_help();

/// Becomes `lockstep-rank`, which stands beside this program, with these arguments. Throws SystemError.
[[noreturn]] void become_rank(const std::vector<std::string>& arguments);

}  // namespace lockstep
