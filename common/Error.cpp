#include "common/Error.h"

#include <cerrno>
#include <system_error>

namespace lockstep {

std::string with_errno(const std::string& what) { return what + ": " + std::generic_category().message(errno); }

}  // namespace lockstep
