// Runs a command and everything it starts, and ends all of it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// How a supervised command ended.
struct Ending {
  int exit_code = 0;              ///< the command's own, or 128 + the signal that ended it
  std::optional<int> stopped_by;  ///< the signal to this process after which it was ended
};

/// How a command is ended when this process gets a signal.
struct Stopping {
  /// With a signal of its own the command alone gets it, again and again until it ends: one that comes before the
  /// command listens would be lost, and is ignored until then. Without one its whole group gets SIGTERM.
  std::optional<int> gentle_signal{};
  double grace_seconds = 5;
};

/// Runs `command` in a process group of its own with standard input from /dev/null, and waits for it. Its standard
/// error comes line by line to `error_line`, in this thread.
///
/// On SIGTERM, SIGINT or SIGHUP to this process the command is told to end, as `stopping` says, and the group gets
/// SIGKILL when it has not ended after the grace, or at once with a second signal. Descendants that outlive the command
/// are killed: this process adopts orphans, and reaps them (also those it has as PID 1). When this process is itself
/// killed, the command gets SIGTERM. Throws SystemError when the command cannot be started.
Ending supervise(const std::vector<std::string>& command, const std::function<void(const std::string&)>& error_line,
                 const Stopping& stopping = {});

}  // namespace lockstep
