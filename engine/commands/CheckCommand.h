// `lockstep check`: whether artifacts are what was written.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// Checks the one directory that it is given (check_model_directory), and prints a line about each artifact. Throws
/// InputError when something is missing, damaged or computes something else.
int check_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
