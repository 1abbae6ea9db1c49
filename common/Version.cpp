#include "common/Version.h"

namespace lockstep {

const char* const kLockstepVersion = LOCKSTEP_VERSION;

}  // namespace lockstep
