// The command that starts the ranks.
#pragma once

#include <string>
#include <vector>

#include "launch/Topology.h"

namespace lockstep {

/// OpenMPI's mpirun, of which 4.1 and 5.x spell some options differently.
struct MpiRun {
  int major = 4;
  std::string version{};    ///< "4.1.4"
  std::string directory{};  ///< of mpirun and of OpenMPI's daemon
};

/// Where PATH has this program; "" when it has not.
std::string find_program(const std::string& name);

/// Asks `mpirun --version`. Throws InputError when there is none or it is not OpenMPI 4 or 5, and LaunchError when it
/// does not answer.
MpiRun find_mpirun();

struct MpiRunOptions {
  bool root = false;         ///< mpirun refuses to run as root unless told
  std::string own_name{};    ///< several hosts: what mpirun knows the first one, its own, by
  std::string agent{};       ///< several hosts: what it calls as if it were ssh; "": ssh itself
  std::string interfaces{};  ///< several hosts: names of the network interfaces to use, separated by commas; "": all
};

/// The whole argument vector: mpirun's options, then `rank_command`, which every rank runs. A pure function. Throws
/// InputError for a word that mpirun would not hand on.
std::vector<std::string> mpirun_command(const MpiRun& mpirun, const Topology& topology, const MpiRunOptions& options,
                                        const std::vector<std::string>& rank_command);

/// As a shell would need it, to be read and copied by people. Nothing is ever run through a shell.
std::string shell_quoted(const std::vector<std::string>& command);

}  // namespace lockstep
