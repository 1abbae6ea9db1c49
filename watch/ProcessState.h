// What the system says of a process.
#pragma once

#include <sys/types.h>
#include <string>
#include <vector>

namespace lockstep {

enum class ProcessState {
  kRunning,          ///< computes, or waits to
  kSleeping,         ///< waits for something
  kStopped,          ///< by SIGSTOP, a terminal or a debugger
  kUninterruptible,  ///< in the kernel, as for a disk or a driver that does not answer: no signal ends it
  kGone,             ///< has ended
  kSilent,           ///< cannot be asked, and says nothing itself
};

/// As reports write it: "stopped".
const char* name_of(ProcessState state);
/// Whether it does nothing, whatever it waits for.
bool is_still(ProcessState state);

/// Of a process, or of one of its threads (`/proc/PID/task/TID`), by its directory below /proc.
ProcessState process_state(const std::string& directory);
ProcessState process_state(pid_t pid);

/// The threads of a process, its first one first.
std::vector<pid_t> threads_of(pid_t pid);

}  // namespace lockstep
