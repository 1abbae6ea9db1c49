// `lockstep inspect`: what a file or a channel holds.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// Prints what a program (.pt2), a safetensors file, a directory of artifacts or a channel's directory holds: arguments
/// as `lockstep inspect --help` says. Throws InputError for anything else.
int inspect_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
