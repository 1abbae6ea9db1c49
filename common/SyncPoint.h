// Named places in what is written to disk, at which a test ends the process.
#pragma once

namespace lockstep {

/// Passes a place between two system calls that change a directory or a file. In a build with the CMake option
/// LOCKSTEP_SYNC_POINTS a process
///
///   LOCKSTEP_KILL_AT=NAME:N     kills itself with SIGKILL when it passes the place NAME for the N-th time
///   LOCKSTEP_PASSED_POINTS=FILE appends the name of each place that it passes, and its own number, to FILE
///
/// so that tests find every place and end a job there. In any other build it does nothing.
void sync_point(const char* name);

}  // namespace lockstep
