// Runs a command and everything it starts, and ends all of it.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// Runs `command` in a process group of its own with standard input from /dev/null, and waits for it. Returns its exit code, or
/// 128 + the signal that ended it.
///
/// On SIGTERM or SIGINT to this process the group gets SIGTERM, and SIGKILL when it has not ended after `grace_seconds`, or at
/// once with a second signal; the code is then 128 + the signal. Descendants that outlive the command are killed: this process
/// adopts orphans, and reaps them (also those it has as PID 1). Throws SystemError when the command cannot be started.
int supervise(const std::vector<std::string>& command, double grace_seconds = 5);

}  // namespace lockstep
