// The version of this Lockstep: the only place that is compiled anew when it changes.
#pragma once

namespace lockstep {

/// As in "0.2.0".
extern const char* const kLockstepVersion;

}  // namespace lockstep
