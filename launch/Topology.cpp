#include "launch/Topology.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

int cores_by_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int cores_by_quota(int cores) {
  const auto limit = [&](std::istream& quota_file, std::istream& period_file) {
    double quota = 0;
    double period = 0;
    if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) {
      cores = std::min(cores, std::max(1, static_cast<int>(std::ceil(quota / period))));
    }
  };
  // Control groups, microseconds per period; without a quota "max" (version 2) or -1 (version 1).
  std::ifstream both("/sys/fs/cgroup/cpu.max");
  limit(both, both);
  std::ifstream quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  limit(quota, period);
  return cores;
}

// The child's exit status is the count. Only it loads the driver, whose threads and signal handlers this process, which
// may be PID 1, must not have.
int visible_gpus() {
  const pid_t child = ::fork();
  if (child < 0) return 0;
  if (child == 0) {
    int count = 0;
    if (void* library = ::dlopen("libcuda.so.1", RTLD_NOW)) {
      const auto init = reinterpret_cast<int (*)(unsigned)>(::dlsym(library, "cuInit"));
      const auto devices = reinterpret_cast<int (*)(int*)>(::dlsym(library, "cuDeviceGetCount"));
      if (!init || !devices || init(0) != 0 || devices(&count) != 0) count = 0;
    }
    ::_exit(std::min(count, 255));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

}  // namespace

Machine inspect_machine() {
  const int cores = cores_by_affinity();
  return {.cores = cores_by_quota(cores), .bound = cores < ::sysconf(_SC_NPROCESSORS_ONLN), .gpus = visible_gpus()};
}

int Topology::ranks() const {
  int total = 0;
  for (const HostPlan& host : hosts) total += host.ranks;
  return total;
}

Topology plan_topology(const Job& job, const Machine& machine, std::optional<int> ranks_on_host) {
  if (job.hosts.size() > 1) {
    throw InputError("the job has " + std::to_string(job.hosts.size()) + " hosts (" + join(job.hosts, ", ") +
                     "); this version trains on one");
  }
  const Hyperparameters& options = job.config.hyperparameters;
  const int planned = options.ranks_per_host > 0 ? static_cast<int>(options.ranks_per_host) : 1;
  const int ranks = ranks_on_host.value_or(planned);
  const int sharing = ranks_on_host && machine.bound ? 1 : ranks;
  const int threads =
      options.threads_per_rank > 0 ? static_cast<int>(options.threads_per_rank) : std::max(1, machine.cores / sharing);
  Topology topology{.hosts = {{.name = job.hosts.front(), .ranks = ranks, .threads_per_rank = threads}},
                    .warnings = {},
                    .oversubscribed = ranks > machine.cores};
  if (options.batch_size < ranks) {
    throw InputError("batch_size=" + std::to_string(options.batch_size) + " is less than the job's " +
                     std::to_string(ranks) + " ranks: some would never have data");
  }
  if (const int gpus = std::max(machine.gpus, job.gpus.value_or(0)); gpus > 0 && options.device == Device::kAuto) {
    topology.warnings.push_back("WARNING: this host has " + std::to_string(gpus) +
                                " GPUs; this version trains on CPUs. Set device=cpu to say that this is meant");
  }
  return topology;
}

}  // namespace lockstep
