#include "launch/Preflight.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <optional>

#include "common/Error.h"
#include "common/File.h"
#include "common/NetworkInterfaces.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kMca = "OMPI_MCA_";
constexpr std::size_t kMib = std::size_t{1} << 20;

bool starts_with_any(const std::string& name, std::initializer_list<std::string_view> beginnings) {
  return std::ranges::any_of(beginnings, [&](std::string_view beginning) { return name.starts_with(beginning); });
}

bool lies_in(const fs::path& path, const fs::path& directory) {
  std::error_code error;
  const fs::path inside = fs::weakly_canonical(path, error).lexically_relative(fs::weakly_canonical(directory, error));
  return !error && !inside.empty() && *inside.begin() != "..";
}

std::string text_of(rlim_t limit) { return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit); }

struct Need {
  int resource;
  const char* what;  ///< "open files"
  const char* option;
  rlim_t unit;  ///< of `ulimit`
  rlim_t least;
  rlim_t enough;
};

void raise_limit(const Need& need) {
  rlimit limit{};
  if (::getrlimit(need.resource, &limit) != 0 || limit.rlim_cur >= need.enough) return;
  limit.rlim_cur = std::min(limit.rlim_max, need.enough);
  ::setrlimit(need.resource, &limit);
  if (limit.rlim_cur >= need.least) return;
  const auto in_units = [&](rlim_t value) { return text_of(value == RLIM_INFINITY ? value : value / need.unit); };
  throw LaunchError("this host's limit of " + std::string(need.what) + " is " + in_units(limit.rlim_cur) + " (ulimit " +
                    need.option + "), and the job needs at least " + in_units(need.least) +
                    ": raise it where this process is started");
}

void raise_limits(int ranks) {
  const auto count = static_cast<rlim_t>(ranks);
  // Measured: mpirun takes 32 files and 5 a rank. More than it can use makes mpirun close very many, one by one.
  raise_limit({RLIMIT_NOFILE, "open files", "-n", 1, 64 + 8 * count, 1024 + 16 * count});
  raise_limit({RLIMIT_STACK, "stack", "-s", 1024, kMib, 8 * kMib});
  raise_limit({RLIMIT_AS, "address space", "-v", 1024, 2048 * kMib, RLIM_INFINITY});
  raise_limit({RLIMIT_DATA, "data", "-d", 1024, 512 * kMib, RLIM_INFINITY});
  raise_limit({RLIMIT_FSIZE, "a file's size", "-f", 1024, 64 * kMib, RLIM_INFINITY});
  raise_limit({RLIMIT_NPROC, "processes", "-u", 1, 0, RLIM_INFINITY});
}

/// Runs `work` in a child process and returns what it returns, 0 … 255; nothing when no child can be made.
template <typename Work>
std::optional<int> in_child(const Work& work) {
  const pid_t child = ::fork();
  if (child < 0) return std::nullopt;
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(work());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
}

void* sleep_for_ever(void*) {
  for (;;) ::pause();
}

// A limit counts what other programs of the same user run too, and control groups have limits of their own: only trying
// tells.
void try_processes(const HostPlan& here) {
  constexpr int kOfMpirun = 16;
  constexpr int kOfARank = 8;  // besides those that compute: of MPI, of the data, of the launcher
  constexpr int kMost = 2048;
  const int needed = std::min(kMost, kOfMpirun + here.ranks * (kOfARank + here.threads_per_rank));
  const auto enough = in_child([needed] {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, std::max<std::size_t>(PTHREAD_STACK_MIN, 16 << 10));
    for (int i = 0; i < needed; ++i) {
      pthread_t thread{};
      if (::pthread_create(&thread, &small, &sleep_for_ever, nullptr) != 0) return 1;
    }
    return 0;
  });
  if (enough == 0) return;
  rlimit limit{};
  ::getrlimit(RLIMIT_NPROC, &limit);
  throw LaunchError("this host does not let the job have the " + std::to_string(needed) +
                    " processes and threads that it needs: the user's limit (ulimit -u) is " + text_of(limit.rlim_cur) +
                    ", and a container may have one of its own (pids.max); raise it");
}

void require_working_directory() {
  std::error_code error;
  static_cast<void>(fs::current_path(error));
  if (error) {
    throw LaunchError("the working directory is gone (" + error.message() +
                      "): start the job in a directory that exists");
  }
}

// mpirun and its ranks talk over TCP also on one host.
void require_network() {
  const auto interfaces = network_interfaces();
  if (!interfaces || std::ranges::any_of(*interfaces, &NetworkInterface::up)) return;
  throw LaunchError(
      "no network interface of this host is up, not even loopback, which mpirun needs to reach its ranks: run `ip link "
      "set lo up` where the job is started, or give the container a network");
}

void fill(const fs::path& path, std::size_t bytes) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) throw SystemError(with_errno(path.parent_path().string()));
  errno = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
  if (errno != 0) throw SystemError(with_errno("no room for " + std::to_string(bytes >> 10) + " kB"));
  ::unlink(path.c_str());
}

// By which MPI leaves out what it would complain of at every message.
std::pair<const char*, const char*> without_reading_others(int major) {
  return major == 4 ? std::pair("btl_vader_single_copy_mechanism", "none") : std::pair("smsc", "^cma");
}

}  // namespace

void take_mpi_settings(const Environment& environment) {
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kMpiSetting)) continue;
    ::setenv((std::string(kMca) + name.substr(kMpiSetting.size())).c_str(), value.c_str(), 0);  // a user's own counts
  }
}

namespace {

// What the name of a scheduler's variable begins with, or "".
std::string_view scheduler_of(std::string_view name) {
  for (const std::string_view beginning :
       {"SLURM_", "SLURMD_", "SRUN_", "PBS_", "LSB_", "LSF_", "SGE_", "PE_HOSTFILE", "FLUX_", "JSM_", "PALS_"}) {
    if (name.starts_with(beginning)) return beginning;
  }
  return "";
}

}  // namespace

void find_mpi_settings() {
  if (may_read_other_processes()) return;
  for (const int major : {4, 5}) {
    const auto [name, value] = without_reading_others(major);
    ::setenv((std::string(kMca) + name).c_str(), value, 0);
  }
}

std::vector<std::string> foreign_settings(const Environment& environment, const fs::path& mpirun, Launcher launcher) {
  std::vector<std::string> foreign;
  for (const auto& [name, value] : environment) {
    if (name.ends_with("_verbose") || name.find("_ALLOW_RUN_AS_ROOT") != std::string::npos) continue;
    if (name.starts_with("OPAL_") || name == "PMIX_PREFIX" || name == "PRTE_PREFIX") {
      if (!lies_in(mpirun, value)) foreign.push_back(name);
    } else if (launcher == Launcher::kSsh && name.starts_with("OMPI_MCA_plm_rsh_")) {
      continue;  // how ssh reaches the hosts
    } else if (starts_with_any(name, {"OMPI_MCA_btl_", "OMPI_MCA_coll_", "OMPI_MCA_mpi_", "OMPI_MCA_oob_tcp_",
                                      "OMPI_MCA_opal_", "OMPI_MCA_pml_ob1_", "OMPI_MCA_smsc"})) {
      continue;
    } else if (starts_with_any(name, {"OMPI_", "ORTE_", "PMIX_", "PMI_", "PRTE_"}) || !scheduler_of(name).empty()) {
      foreign.push_back(name);
    }
  }
  return foreign;
}

std::string drop_foreign_settings(Launcher launcher) {
  std::vector<std::string> named;
  for (const std::string& name : foreign_settings(process_environment(), find_program("mpirun"), launcher)) {
    ::unsetenv(name.c_str());
    const std::string scheduler(scheduler_of(name));  // dozens of variables
    named.push_back(scheduler.empty() ? name : scheduler + "…");
    if (named.size() > 1 && named.back() == named[named.size() - 2]) named.pop_back();
  }
  if (named.empty()) return "";
  return "not handed on, as it would change what this job's mpirun does: " + join(named, ", ");
}

PrivateDirectory::PrivateDirectory(const fs::path& parent, std::size_t bytes) {
  std::string pattern = (parent / "lockstep-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw SystemError(with_errno(parent.string()));
  path_ = pattern;
  try {
    fill(path_ / "room", bytes);
  } catch (const SystemError& error) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    throw SystemError(parent.string() + ": " + error.what());
  }
}

PrivateDirectory::~PrivateDirectory() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Preflight::Preflight(const MpiRun& mpirun, const HostPlan& here, const std::vector<std::string>& names) {
  require_working_directory();
  require_network();
  raise_limits(here.ranks);
  try_processes(here);
  choose_node_name(mpirun, names);
  choose_directory();
  choose_shared_memory(mpirun, here.ranks);
}

// For mpirun's own files, and for a home where the user has none: without one mpirun crashes.
void Preflight::choose_directory() {
  constexpr std::size_t kRoom = 256 << 10;
  const char* variable = std::getenv("TMPDIR");
  std::vector<std::string> problems;
  for (const std::string parent : {variable ? variable : "", "/tmp", "/dev/shm", "/var/tmp"}) {
    if (parent.empty()) continue;
    try {
      directories_.emplace_back(parent, kRoom);
      break;
    } catch (const SystemError& error) {
      problems.emplace_back(error.what());
    }
  }
  if (directories_.empty()) {
    throw LaunchError("there is no place for mpirun's temporary files (" + join(problems, "; ") +
                      "): set TMPDIR to a directory that can be written");
  }
  const std::string place = directories_.front().path().string();
  if (!problems.empty()) notes_.push_back("temporary files are in " + place + ": " + join(problems, "; "));
  variables_["TMPDIR"] = place;
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') variables_["HOME"] = place;
  // PMIx would keep what the ranks say of themselves in shared memory, for which there may be no room.
  variables_["PMIX_MCA_gds"] = "hash";
}

void Preflight::choose_shared_memory(const MpiRun& mpirun, int ranks) {
  if (ranks < 2) return;
  const bool four = mpirun.major == 4;
  const std::string setting = std::string(kMpiSetting) + (four ? "btl_vader_" : "btl_sm_") + "backing_directory";
  const std::size_t bytes = static_cast<std::size_t>(ranks) * (four ? 4 * kMib + kMib / 4 : 16 * kMib + kMib / 4);
  std::vector<std::string> problems;
  for (const fs::path& parent : {fs::path("/dev/shm"), directories_.front().path()}) {
    try {
      directories_.emplace_back(parent, bytes);
      variables_[setting] = directories_.back().path().string();
      break;
    } catch (const SystemError& error) {
      problems.emplace_back(error.what());
    }
  }
  if (!variables_.contains(setting)) {
    throw LaunchError("the " + std::to_string(ranks) + " ranks of this host need " + std::to_string(bytes / kMib) +
                      " MiB of shared memory (" + join(problems, "; ") +
                      "): give the container more (docker run --shm-size), or room in TMPDIR");
  }
  if (!problems.empty()) {
    notes_.push_back("ranks of this host exchange messages through files in " +
                     directories_.back().path().parent_path().string() + ": " + join(problems, "; "));
  }
  if (may_read_other_processes()) return;
  const auto [name, value] = without_reading_others(mpirun.major);
  variables_[std::string(kMpiSetting) + name] = value;
}

void Preflight::choose_node_name(const MpiRun& mpirun, const std::vector<std::string>& names) {
  if (mpirun.major != 4) return;
  variables_["OMPI_MCA_orte_default_hostfile"] = "none";     // a site's configuration file may name one
  variables_["OMPI_MCA_rmaps_base_no_oversubscribe"] = "0";  // or set this, against our --map-by
  // OpenMPI 4 keeps what comes before the first digit of a node's name in 50 bytes, and looks at no more than that.
  constexpr std::size_t kLongest = 49;
  constexpr std::size_t kKept = 16;
  const auto beginning = [](const std::string& name) {
    return std::min(name.size(), name.find_first_of("0123456789"));
  };
  if (names.size() == 1) {
    if (const std::size_t length = beginning(names.front()); length > kLongest) {
      variables_["OMPI_MCA_orte_strip_prefix"] = names.front().substr(0, length - kKept);
    }
    return;
  }
  for (const std::string& name : names) {
    if (beginning(name) <= kLongest) continue;
    throw LaunchError("the host name " + name + " has more than " + std::to_string(kLongest) +
                      " characters before its first digit, which OpenMPI 4 cannot hold; give the host a shorter name, "
                      "or use OpenMPI 5");
  }
}

bool may_read_other_processes() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  volatile long there = 7;
  const pid_t other = ::fork();
  if (other == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);  // as MPI does
    const char ready = 0;
    if (::write(writer.get(), &ready, 1) != 1) ::_exit(1);
    sleep_for_ever(nullptr);
  }
  if (other < 0) return false;
  writer = FileDescriptor();
  char ready = 0;
  const bool came = ::read(reader.get(), &ready, 1) == 1;
  const auto found = in_child([&] {
    long here = 0;
    const iovec local{.iov_base = &here, .iov_len = sizeof here};
    const iovec remote{.iov_base = const_cast<long*>(&there), .iov_len = sizeof there};
    return ::process_vm_readv(other, &local, 1, &remote, 1, 0) == sizeof here && here == there ? 0 : 1;
  });
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  return came && found == 0;
}

}  // namespace lockstep
