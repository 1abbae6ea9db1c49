// The one piece that links Apache Arrow.
#pragma once

#include <string>

namespace lockstep {

/// What lockstep-arrow.so offers under a name. It stands beside the program or library that holds the engine, and is
/// loaded when this is first called, for good: only those wait for it who need it. Throws InputError, saying what it is
/// needed `for_what`, when it cannot be loaded.
void* arrow_function(const char* name, const std::string& for_what);

}  // namespace lockstep
