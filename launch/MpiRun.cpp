#include "launch/MpiRun.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

MpiRun find_mpirun() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen("mpirun --version 2>/dev/null", "r"), &::pclose);
  std::array<char, 256> line{};
  if (!pipe || !std::fgets(line.data(), line.size(), pipe.get())) {
    throw InputError("mpirun is not on PATH; install OpenMPI (Debian: openmpi-bin)");
  }
  const std::string text = line.data();  // "mpirun (Open MPI) 4.1.4"
  const std::size_t version = text.find("(Open MPI) ");
  if (version == std::string::npos) {
    throw InputError("mpirun is not OpenMPI's; it says " + in_quotes(text) + ". OpenMPI 4.1 or 5 is needed");
  }
  MpiRun mpirun{.path = "mpirun", .major = std::atoi(text.c_str() + version + std::string("(Open MPI) ").size())};
  if (mpirun.major != 4 && mpirun.major != 5) {
    throw InputError("mpirun is of " + in_quotes(text) + "; OpenMPI 4.1 or 5 is needed");
  }
  return mpirun;
}

std::vector<std::string> mpirun_command(const MpiRun& mpirun, const Topology& topology, const MpiRunOptions& options,
                                        const std::vector<std::string>& rank_command) {
  if (std::ranges::count(rank_command, ":") > 0) {
    throw InputError(
        "the argument \":\" cannot reach the ranks: mpirun starts another program there. Write --NAME=: or ./:");
  }
  std::vector<std::string> command = {mpirun.path, "-np", std::to_string(topology.ranks())};
  const auto add = [&](std::initializer_list<const char*> words) {
    command.insert(command.end(), words.begin(), words.end());
  };
  if (options.root) add({"--allow-run-as-root"});
  // Ranks have threads of their own; mpirun would put all of a rank's on one core.
  add({"--bind-to", "none"});
  // As many ranks as the plan says, whatever mpirun thinks the host has room for.
  add({"--map-by", mpirun.major == 4 ? "slot:OVERSUBSCRIBE" : "slot:oversubscribe"});
  if (topology.hosts.size() == 1) {
    // Shared memory only: no interface is probed, and none needs to exist.
    add({"--mca", "pml", "ob1", "--mca", "btl", mpirun.major == 4 ? "self,vader" : "self,sm"});
    // Else OpenMPI 4 wants an ssh to be installed, though there is no other host to reach.
    if (mpirun.major == 4) add({"--mca", "plm", "isolated"});
  }
  // A rank that waits for a message gives its core to whoever works: other ranks, loader threads, other programs. Where
  // cores are free this costs nothing that we could measure; where they are not, spinning made steps ten times slower.
  add({"--mca", "mpi_yield_when_idle", "1"});
  add({"-x", options.terminal ? "LOCKSTEP_TERMINAL=1" : "LOCKSTEP_TERMINAL=0"});
  command.insert(command.end(), {"-x", "LOCKSTEP_THREADS=" + std::to_string(options.threads)});
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
