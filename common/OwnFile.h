// Where the code that runs came from.
#pragma once

#include <filesystem>

namespace lockstep {

/// The program or the shared library that this code is linked into: what is loaded when it is needed stands beside it.
std::filesystem::path own_file();

}  // namespace lockstep
