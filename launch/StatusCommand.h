// `lockstep status`.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// Asks the leader of a running job of several hosts where the job is, and prints it. Takes what `train` takes; of it,
/// the hosts, `hosts_port` and the secret count. Changes nothing. Returns the exit code: kExitHostLost when nobody
/// answers.
int status_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
