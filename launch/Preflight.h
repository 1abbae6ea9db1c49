// What mpirun and the ranks need of the system that they are started on.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launch/JobEnvironment.h"
#include "launch/MpiRun.h"
#include "launch/Topology.h"

namespace lockstep {

/// A launcher's variable of this beginning is a setting of MPI (`OMPI_MCA_…`) for the ranks of its host. mpirun would
/// hand OMPI_MCA_… itself to all hosts, and hosts differ.
inline constexpr std::string_view kMpiSetting = "LOCKSTEP_MPI_";

/// Gives this process, a rank before MPI has started, the settings of its host's launcher.
void take_mpi_settings(const Environment& environment);

/// The same for a rank that no launcher of ours has started: how ranks of this host may exchange messages.
void find_mpi_settings();

/// The variables that would change what our mpirun does though they were set for another one: an installation elsewhere
/// (OPAL_PREFIX, …, unless `mpirun`, the path of ours, lies in it), a site's choice of hosts and places
/// (OMPI_MCA_rmaps_…, but not how messages travel: OMPI_MCA_btl_tcp_…), and what an MPI program inherits from the
/// mpirun that has started it (PMIX_RANK, …).
///
/// Also the variables by which schedulers (Slurm, PBS, LSF, Grid Engine and others) speak to an mpirun: one that finds
/// them takes its hosts from there, and starts its daemons by the scheduler's own means. In the order of names.
std::vector<std::string> foreign_settings(const Environment& environment, const std::filesystem::path& mpirun,
                                          Launcher launcher);

/// Removes them from this process's environment. Returns a line that names them, or "".
std::string drop_foreign_settings(Launcher launcher);

/// A directory of a host's job alone; removed, with all that is in it, at its end.
class PrivateDirectory {
 public:
  /// Throws SystemError when it cannot be made in `parent`, or has no room for so many bytes.
  PrivateDirectory(const std::filesystem::path& parent, std::size_t bytes);
  PrivateDirectory(PrivateDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PrivateDirectory& operator=(PrivateDirectory&&) = delete;
  ~PrivateDirectory();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The checks of one host before mpirun, or OpenMPI's daemon, is started there. Soft limits of this process (open
/// files, stack, memory, …) are raised as far as they may be. As long as this object lives there are directories for
/// what MPI keeps in files: nothing of them is left behind, however mpirun ends.
class Preflight {
 public:
  /// `here`: the ranks of this host; `names`: what mpirun knows all hosts of the job by, this one first. Throws
  /// LaunchError, with one line, for what is missing and what to do about it.
  Preflight(const MpiRun& mpirun, const HostPlan& here, const std::vector<std::string>& names);

  /// What is not as usual, to be seen.
  const std::vector<std::string>& notes() const { return notes_; }
  /// For mpirun or the daemon, and through them for the ranks of this host.
  const std::map<std::string, std::string>& variables() const { return variables_; }

 private:
  void choose_directory();
  void choose_shared_memory(const MpiRun& mpirun, int ranks);
  void choose_node_name(const MpiRun& mpirun, const std::vector<std::string>& names);

  std::vector<std::string> notes_;
  std::map<std::string, std::string> variables_;
  std::vector<PrivateDirectory> directories_;
};

/// Whether two processes of this one's kind may read each other's memory: MPI's fastest way between ranks of a host,
/// which containers often forbid.
bool may_read_other_processes();

}  // namespace lockstep
