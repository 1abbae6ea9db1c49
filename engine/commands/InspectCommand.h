// `lockstep inspect FILE`: what a file holds.
#pragma once

#include <filesystem>

namespace lockstep {

/// Prints what a program (.pt2), a safetensors file or a channel directory holds. Throws InputError for anything else.
int inspect_command(const std::filesystem::path& path, bool passes);

}  // namespace lockstep
