// How OpenMPI's daemons start on other hosts without ssh: mpirun calls `lockstep remote-start HOST WORDS…` as if it
// were ssh, and the words travel over the connection that the host holds open.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// The variable that tells `lockstep remote-start` the name of its launcher's local socket.
inline constexpr const char* kRemoteStartSocket = "LOCKSTEP_REMOTE_START";

/// What a POSIX shell would make of a word that mpirun has quoted for the shell that ssh would start: quotes and
/// backslashes are taken away. Throws InputError for what would be no word, or several.
std::string unquoted(const std::string& word);

/// What a host runs for the words that mpirun gives its agent: OpenMPI's daemon (orted, prted) by its path in
/// `mpi_directory`, with MCA parameters and nothing else. Throws InputError, naming the word, for anything else: no
/// host runs whatever it is told.
std::vector<std::string> daemon_command(const std::vector<std::string>& words, const std::string& mpi_directory);

/// The agent: hands host and words to the launcher and stays until the daemon has ended. Returns its exit code.
int remote_start_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
