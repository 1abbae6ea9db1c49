// The command that starts the ranks.
#pragma once

#include <string>
#include <vector>

#include "launch/Topology.h"

namespace lockstep {

/// OpenMPI's mpirun, of which 4.1 and 5.x spell some options differently.
struct MpiRun {
  std::string path = "mpirun";
  int major = 4;
};

/// Asks `mpirun --version`. Throws InputError when there is none or it is not OpenMPI 4 or 5.
MpiRun find_mpirun();

struct MpiRunOptions {
  bool root = false;      ///< mpirun refuses to run as root unless told
  int threads = 1;        ///< of each rank, as planned: a rank sees less of the host than its launcher
  bool terminal = false;  ///< a person watches; the ranks cannot see it, since mpirun gives each a terminal of its own
};

/// The whole argument vector: mpirun's options, then `rank_command`, which every rank runs. A pure function. Throws
/// InputError for a word that mpirun would not hand on.
std::vector<std::string> mpirun_command(const MpiRun& mpirun, const Topology& topology, const MpiRunOptions& options,
                                        const std::vector<std::string>& rank_command);

/// As a shell would need it, to be read and copied by people. Nothing is ever run through a shell.
std::string shell_quoted(const std::vector<std::string>& command);

}  // namespace lockstep
