// How OpenMPI's daemons start on other hosts without ssh: mpirun calls `lockstep remote-start HOST WORDS…` as if it were ssh,
// and the words travel over the connection that the host holds open.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// The variable that tells `lockstep remote-start` the name of its launcher's local socket.
inline constexpr const char* kRemoteStartSocket = "LOCKSTEP_REMOTE_START";

/// The words of a command line as a POSIX shell would see them: quotes and backslashes are taken away, nothing else is
/// special. mpirun quotes for the shell that ssh would start.
std::vector<std::string> shell_words(const std::string& line);

/// What a host runs for `line`: OpenMPI's daemon (orted, prted) by its path in `mpi_directory`, with pairs of MCA
/// parameters and nothing else. Throws InputError, naming the word, for anything else: no host runs what it is told.
std::vector<std::string> daemon_command(const std::string& line, const std::string& mpi_directory);

/// The agent: hands host and words to the launcher and stays until the daemon has ended. Returns its exit code.
int remote_start_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
