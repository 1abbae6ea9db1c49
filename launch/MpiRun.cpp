#include "launch/MpiRun.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

std::string find_program(const std::string& program) {
  const char* variable = std::getenv("PATH");
  for (const std::string& directory : split(variable ? variable : "/usr/bin:/bin", ':')) {
    const fs::path path = fs::path(directory.empty() ? "." : directory) / program;
    if (::access(path.c_str(), X_OK) == 0) return fs::absolute(path);
  }
  return "";
}

namespace {

// What `program --version` prints, on both streams.
std::string version_text(const std::string& program) {
  constexpr std::chrono::seconds kPatience(30);
  constexpr std::size_t kMost = 4096;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw LaunchError(with_errno("cannot make a pipe"));
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) throw LaunchError(with_errno("cannot start " + program));
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(writer.get(), STDOUT_FILENO);
    ::dup2(writer.get(), STDERR_FILENO);
    ::execl(program.c_str(), program.c_str(), "--version", nullptr);
    ::_exit(127);
  }
  writer = FileDescriptor();
  std::string text;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (pollfd entry{.fd = reader.get(), .events = POLLIN, .revents = 0}; text.size() < kMost;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    std::array<char, 256> piece{};
    const bool ready = ::poll(&entry, 1, static_cast<int>(std::max<long>(left.count(), 0))) > 0;
    const ssize_t count = ready ? ::read(reader.get(), piece.data(), piece.size()) : 0;
    if (count <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
  const bool late = std::chrono::steady_clock::now() >= deadline;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  if (late)
    throw LaunchError(program + " --version does not answer within " + std::to_string(kPatience.count()) + " s");
  return text;
}

}  // namespace

MpiRun find_mpirun() {
  const std::string path = find_program("mpirun");
  if (path.empty()) throw InputError("mpirun is not on PATH; install OpenMPI (Debian: openmpi-bin)");
  const std::string text = version_text(path);  // "mpirun (Open MPI) 4.1.4"
  if (text.empty()) throw InputError(path + " --version says nothing; is OpenMPI installed completely?");
  constexpr std::string_view kMark = "(Open MPI) ";
  const std::size_t mark = text.find(kMark);
  if (mark == std::string::npos) {
    throw InputError(path + " is not OpenMPI's; it says " + in_quotes(text.substr(0, text.find('\n'))) +
                     ". OpenMPI 4.1 or 5 is needed");
  }
  MpiRun mpirun{.version = text.substr(mark + kMark.size()), .directory = fs::path(path).parent_path()};
  mpirun.version = mpirun.version.substr(0, mpirun.version.find_first_of(" \n"));
  mpirun.major = std::atoi(mpirun.version.c_str());
  if (mpirun.major != 4 && mpirun.major != 5) {
    throw InputError(path + " is of OpenMPI " + in_quotes(mpirun.version) + "; 4.1 or 5 is needed");
  }
  return mpirun;
}

namespace {

void add(std::vector<std::string>& command, std::initializer_list<std::string> words) {
  command.insert(command.end(), words.begin(), words.end());
}

void add_hosts(std::vector<std::string>& command, const MpiRun& mpirun, const Topology& topology,
               const MpiRunOptions& options) {
  const bool four = mpirun.major == 4;
  const std::string parameter = four ? "--mca" : "--prtemca";  // of the daemons
  std::string hosts;
  for (const HostPlan& host : topology.hosts) {
    // The container's own name may be none of the job's; mpirun must not look for itself elsewhere.
    const std::string& name = hosts.empty() ? options.own_name : host.name;
    hosts += (hosts.empty() ? "" : ",") + name + ":" + std::to_string(host.ranks);
  }
  add(command, {"--host", hosts, "--mca", "pml", "ob1", "--mca", "btl", four ? "self,vader,tcp" : "self,sm,tcp"});
  if (!options.interfaces.empty()) {
    add(command, {"--mca", "btl_tcp_if_include", options.interfaces});
    add(command, {parameter, four ? "oob_tcp_if_include" : "prte_if_include", options.interfaces});
  }
  if (four) add(command, {"--mca", "orte_keep_fqdn_hostnames", "1"});  // else it asks for node1 of node1.cluster
  add(command, {parameter, "plm", four ? "rsh" : "ssh"});  // whatever the scheduler of this machine would start them by
  if (options.agent.empty()) return;
  // Without the second, daemons would call the agent for other daemons; with it alone, they would leave the agent.
  const std::string plm = four ? "plm_rsh_" : "plm_ssh_";
  add(command, {parameter, plm + "agent", options.agent, parameter, plm + "no_tree_spawn", "1"});
  add(command, {"--leave-session-attached"});
}

}  // namespace

std::vector<std::string> mpirun_command(const MpiRun& mpirun, const Topology& topology, const MpiRunOptions& options,
                                        const std::vector<std::string>& rank_command) {
  if (std::ranges::count(rank_command, ":") > 0) {
    throw InputError(
        "the argument \":\" cannot reach the ranks: mpirun starts another program there. Write --NAME=: or ./:");
  }
  std::vector<std::string> command = {"mpirun", "-np", std::to_string(topology.ranks())};
  if (options.root) add(command, {"--allow-run-as-root"});
  // Ranks have threads of their own; mpirun would put all of a rank's on one core.
  add(command, {"--bind-to", "none"});
  // As many ranks as the plan says, whatever mpirun thinks the host has room for.
  add(command, {"--map-by", mpirun.major == 4 ? "slot:OVERSUBSCRIBE" : "slot:oversubscribe"});
  if (topology.hosts.size() > 1) {
    add_hosts(command, mpirun, topology, options);
  } else {
    // Shared memory only: no interface is probed, and none needs to exist.
    add(command, {"--mca", "pml", "ob1", "--mca", "btl", mpirun.major == 4 ? "self,vader" : "self,sm"});
    // Else OpenMPI 4 wants an ssh to be installed, though there is no other host to reach.
    if (mpirun.major == 4) add(command, {"--mca", "plm", "isolated"});
  }
  // A rank that waits for a message gives its core to whoever works: other ranks, loader threads, other programs. Where
  // cores are free this costs nothing that we could measure; where they are not, spinning made steps ten times slower.
  add(command, {"--mca", "mpi_yield_when_idle", "1"});
  command.insert(command.end(), rank_command.begin(), rank_command.end());
  return command;
}

std::string shell_quoted(const std::vector<std::string>& command) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%^";
  std::string text;
  for (const std::string& word : command) {
    if (!text.empty()) text += ' ';
    if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) {
      text += word;
      continue;
    }
    text += '\'';
    for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
    text += '\'';
  }
  return text;
}

}  // namespace lockstep
