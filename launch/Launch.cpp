#include "launch/Launch.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/Error.h"
#include "launch/Efa.h"
#include "launch/Network.h"

namespace lockstep {

namespace {

bool on_several_hosts(const Job& job, const std::optional<RankPlace>& place) {
  return job.hosts.size() > 1 || (place && place->ranks > place->ranks_on_host.value_or(place->ranks));
}

// Only where NCCL has another host to reach.
void check_efa(Job& job, const std::optional<RankPlace>& place, const Environment& environment) {
  if (job.config.gpus == 0 || !on_several_hosts(job, place)) return;
  const Efa efa = find_efa(environment);
  job.config.efa = efa.present > 0;
  if (efa.obstacle().empty() || job.config.hyperparameters.allow_tcp) return;
  job.absent.push_back(efa.obstacle() + ", or set allow_tcp=true to train over TCP");
}

// What is started must be what the job asks for.
void check_start(const Job& job, const Environment& environment, const std::optional<RankPlace>& place) {
  const std::int64_t asked = job.config.hyperparameters.ranks_per_host;
  if (place && asked > 0 && place->ranks_on_host && *place->ranks_on_host != asked) {
    throw InputError("ranks_per_host=" + std::to_string(asked) + ", and this process is rank " +
                     std::to_string(place->rank) + " of " + std::to_string(*place->ranks_on_host) +
                     " on this host already (PMIX_RANK); start that many ranks with mpirun or srun, or, for a job that "
                     "starts its own ranks: env -u OMPI_COMM_WORLD_RANK -u PMIX_RANK lockstep train …");
  }
  if (!job.piped_channels.empty() && (place || (job.launcher == Launcher::kSsh && job.hosts.size() > 1))) {
    throw InputError("channel " + in_quotes(*job.piped_channels.begin()) +
                     ": its TrainingInputMode is Pipe, and a stream is read by the launcher of its host, before ranks "
                     "start: run `lockstep train` on every host, or set it to File or FastFile");
  }
  const int tasks = place ? 1 : tasks_without_mpi(environment);
  const bool one_a_host = job.launcher == Launcher::kConnection && std::cmp_equal(job.hosts.size(), tasks);
  if (tasks > 1 && !one_a_host) {
    throw InputError("srun has started " + std::to_string(tasks) +
                     " tasks (SLURM_STEP_NUM_TASKS) that know nothing of each other (PMIX_RANK is not set), and each "
                     "would train the whole job: start them with srun --mpi=pmix, or one on each of " +
                     std::to_string(tasks) + " hosts with --hosts and their names");
  }
}

}  // namespace

Launch make_launch(Job job, const Environment& environment, const std::optional<RankPlace>& place) {
  check_job(job);
  check_start(job, environment, place);
  job.scheduled_gpus = gpus_by_scheduler(environment);
  // On a cluster it is this machine's name and addresses that tell which host it is.
  if (!place && std::ranges::count(job.hosts, job.config.host) == 0 && job.takes_part) {
    try {
      job.config.host = own_name_among(job.hosts);
    } catch (const InputError& error) {
      job.absent.emplace_back(error.what());
      job.config.host = system_name();
    }
  }
  // Two hosts must not have one name in messages, nor where ranks compare their GPUs.
  if (place && job.config.host == "localhost") job.config.host = system_name();
  const Machine machine = inspect_machine();
  const Topology topology = plan_topology(job, machine, place ? place->ranks_on_host : std::nullopt);
  job.config.threads = topology.hosts.front().threads_per_rank;
  job.config.cores = machine.cores;
  job.config.gpus = topology.hosts.front().gpus;
  job.config.terminal = !place && ::isatty(STDOUT_FILENO) == 1;  // mpirun gives a rank a terminal of its own, always
  job.absent.insert(job.absent.end(), topology.absent.begin(), topology.absent.end());
  check_efa(job, place, environment);
  return {.job = std::move(job), .topology = topology};
}

}  // namespace lockstep
