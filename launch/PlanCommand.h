// `lockstep plan`.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// Prints what `train` would do with the same arguments: hosts, ranks, paths, the exact command. Starts nothing. What
/// this machine lacks is a warning. Returns the exit code.
int plan_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
