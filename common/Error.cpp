#include "common/Error.h"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace lockstep {

StopError::StopError(int signal)
    : Error(static_cast<ExitCode>(kExitSignal + signal), "the job was stopped by signal " + std::to_string(signal) +
                                                             " (" + ::strsignal(signal) + "); nothing was saved") {}

std::string with_errno(const std::string& what) { return what + ": " + std::generic_category().message(errno); }

}  // namespace lockstep
