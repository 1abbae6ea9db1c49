// `lockstep-rank train JOB.json`: one rank of a job, from its configuration to its artifacts.
#pragma once

#include <filesystem>

namespace lockstep {

/// Runs the rank and returns its exit code. Errors are printed once for all ranks when all share them, else by the rank
/// that met them, and written to the job's failure file.
int rank_command(const std::filesystem::path& job_file);

}  // namespace lockstep
