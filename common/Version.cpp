#include "common/Version.h"

namespace lockstep {

const char* const kVersion = LOCKSTEP_VERSION;

}  // namespace lockstep
