#include "launch/RankPlace.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"

namespace lockstep {

namespace {

constexpr const char* kMpirunRank = "OMPI_COMM_WORLD_RANK";
constexpr const char* kPmixRank = "PMIX_RANK";
constexpr const char* kPmiRank = "PMI_RANK";
constexpr const char* kNamespace = "PMIX_NAMESPACE";
constexpr std::string_view kServer = "PMIX_SERVER_URI";
constexpr std::string_view kSrunsNamespace = "slurm.pmix.";  // then JOB.STEP

std::optional<std::string> value_of(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::nullopt : std::optional(found->second);
}

std::optional<int> number_in(const Environment& environment, const std::string& name) {
  const auto text = value_of(environment, name);
  if (!text) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < 0) {
    throw InputError("the environment variable " + name + " is " + in_quotes(*text) + ", and must be a number");
  }
  return number;
}

std::optional<int> first_number_in(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const auto number = number_in(environment, name)) return number;
  }
  return std::nullopt;
}

// `NAME=value`, or that it is not set.
std::string shown(const Environment& environment, const std::string& name) {
  const auto value = value_of(environment, name);
  return value ? name + "=" + *value : name + " is not set";
}

[[noreturn]] void refuse(const Environment& environment, const std::string& why) {
  std::string unset;
  for (const char* name : {kMpirunRank, kPmixRank, kPmiRank}) {
    if (environment.contains(name)) unset += std::string(" -u ") + name;
  }
  throw InputError(why +
                   ". To train with the ranks of a launcher, start them with OpenMPI's mpirun or with srun --mpi=pmix; "
                   "for a job that starts its own ranks from here: env" +
                   unset + " lockstep train …");
}

// PMIX_SERVER_URI, PMIX_SERVER_URI2, PMIX_SERVER_URI41, …: one server in the words of several versions.
Environment::const_iterator server_in(const Environment& environment) {
  const auto first = environment.lower_bound(std::string(kServer));
  return first != environment.end() && first->first.starts_with(kServer) ? first : environment.end();
}

// `2(x3),1` is 2, 2, 2, 1.
std::optional<int> slurm_tasks(const std::string& per_node, int node) {
  for (const std::string& part : split(per_node, ',')) {
    const std::size_t times = part.find("(x");
    const int nodes = times == std::string::npos ? 1 : std::atoi(part.c_str() + times + 2);
    if (node < nodes) return std::atoi(part.c_str());
    node -= nodes;
  }
  return std::nullopt;
}

std::optional<int> slurm_tasks_on_this_node(const Environment& environment) {
  const auto node = number_in(environment, "SLURM_NODEID");
  for (const char* name : {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"}) {
    if (const auto per_node = value_of(environment, name); per_node && node) return slurm_tasks(*per_node, *node);
  }
  return std::nullopt;
}

RankPlace place_by_mpirun(const Environment& environment, int rank) {
  return {.rank = rank,
          .ranks = number_in(environment, "OMPI_COMM_WORLD_SIZE").value_or(0),
          .local_rank = number_in(environment, "OMPI_COMM_WORLD_LOCAL_RANK").value_or(-1),
          .ranks_on_host = number_in(environment, "OMPI_COMM_WORLD_LOCAL_SIZE")};
}

RankPlace place_by_srun(const Environment& environment, int rank) {
  return {.rank = rank,
          .ranks = first_number_in(environment, {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}).value_or(0),
          .local_rank = number_in(environment, "SLURM_LOCALID").value_or(-1),
          .ranks_on_host = slurm_tasks_on_this_node(environment)};
}

bool answers(const std::string& address, int port) {
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::inet_pton(AF_INET, address.c_str(), &place.sin_addr) != 1) return true;  // another kind of address: not known
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0) return true;
  constexpr int kMilliseconds = 3000;  // it is on this host
  pollfd entry{.fd = socket.get(), .events = POLLOUT, .revents = 0};
  if (errno != EINPROGRESS || ::poll(&entry, 1, kMilliseconds) != 1) return false;
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

}  // namespace

std::optional<RankPlace> rank_place(const Environment& environment) {
  const auto mpirun = number_in(environment, kMpirunRank);
  const auto pmix = number_in(environment, kPmixRank);
  const auto show = [&](const std::string& name) { return shown(environment, name); };
  if (!mpirun && !pmix) {
    if (!environment.contains(kPmiRank)) return std::nullopt;
    refuse(environment, show(kPmiRank) +
                            ": what has started this process speaks PMI, by which OpenMPI's ranks do not " +
                            "find each other (srun --mpi=pmi2 does, and another MPI's mpirun)");
  }
  if (!pmix || (mpirun && *mpirun != *pmix)) {
    refuse(environment, show(kMpirunRank) + ", and " + show(kPmixRank) +
                            ": mpirun gives a rank both, with one number, so at least one is left over");
  }
  const auto name = value_of(environment, kNamespace);
  if (!name || server_in(environment) == environment.end()) {
    refuse(environment, show(kPmixRank) + ", and " + (name ? std::string(kServer) + " is not set" : show(kNamespace)) +
                            ": the number is left over from a rank, and MPI cannot find the others by it");
  }
  if (!name->starts_with(kSrunsNamespace)) {
    return place_by_mpirun(environment, *pmix);
  }
  if (mpirun) {
    refuse(environment, show(kMpirunRank) + ", and " + show(kNamespace) +
                            ": srun has started this process, so the former is left over from an mpirun");
  }
  const std::string step =
      value_of(environment, "SLURM_JOB_ID").value_or("?") + "." + value_of(environment, "SLURM_STEP_ID").value_or("?");
  if (name->substr(kSrunsNamespace.size()) != step) {
    refuse(environment, show(kPmixRank) + " and " + show(kNamespace) + ", and this process is not of that step (" +
                            show("SLURM_JOB_ID") + ", " + show("SLURM_STEP_ID") + "): they are left over from it");
  }
  RankPlace place = place_by_srun(environment, *pmix);
  if (place.ranks == 1) return std::nullopt;
  return place;
}

void require_running_launcher(const Environment& environment) {
  const auto server = server_in(environment);
  if (server == environment.end()) return;
  constexpr std::string_view kScheme = "tcp4://";  // prterun-…;tcp4://127.0.0.1:40123
  const std::size_t scheme = server->second.find(kScheme);
  if (scheme == std::string::npos) return;
  const auto place = split(server->second.substr(scheme + kScheme.size()), ':');
  if (place.size() < 2 || answers(place[0], std::atoi(place[1].c_str()))) return;
  refuse(environment, shown(environment, kPmixRank) + " and " + shown(environment, server->first) +
                          ", and nobody answers there: the variables are left over from a rank whose launcher is gone");
}

int tasks_without_mpi(const Environment& environment) {
  if (!environment.contains("SLURM_STEP_ID") || environment.contains(kPmixRank)) return 1;
  return number_in(environment, "SLURM_STEP_NUM_TASKS").value_or(1);
}

int gpus_by_scheduler(const Environment& environment) {
  return environment.contains("SLURM_JOB_ID") ? number_in(environment, "SLURM_GPUS_ON_NODE").value_or(0) : 0;
}

}  // namespace lockstep
