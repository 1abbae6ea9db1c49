#include "launch/RankPlace.h"

#include <cstdlib>
#include <initializer_list>
#include <string>

#include "common/Text.h"

namespace lockstep {

namespace {

std::optional<std::string> first_of(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = environment.find(name);
    if (found != environment.end()) return found->second;
  }
  return std::nullopt;
}

std::optional<int> number_in(const Environment& environment, std::initializer_list<const char*> names) {
  const auto text = first_of(environment, names);
  return text ? std::optional(std::atoi(text->c_str())) : std::nullopt;
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

std::optional<int> ranks_on_host(const Environment& environment) {
  if (const auto size = number_in(environment, {"OMPI_COMM_WORLD_LOCAL_SIZE"})) return size;
  const auto per_node = first_of(environment, {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"});
  const auto node = number_in(environment, {"SLURM_NODEID"});
  if (per_node && node) return slurm_tasks(*per_node, *node);
  return number_in(environment, {"SLURM_NTASKS_PER_NODE"});
}

}  // namespace

std::optional<RankPlace> rank_place(const Environment& environment) {
  const auto rank = number_in(environment, {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"});
  if (!rank) return std::nullopt;
  return RankPlace{
      .rank = *rank,
      .ranks = number_in(environment, {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"}).value_or(0),
      .local_rank =
          number_in(environment, {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}).value_or(-1),
      .ranks_on_host = ranks_on_host(environment)};
}

}  // namespace lockstep
