// Campaigns that `make soak` runs long and `make test` short.
#pragma once

#include <cstdlib>

namespace lockstep {

inline bool soaking() { return std::getenv("LOCKSTEP_SOAK") != nullptr; }

}  // namespace lockstep
