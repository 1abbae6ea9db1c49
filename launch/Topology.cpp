#include "launch/Topology.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

int cores_by_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int cores_by_quota(int cores, const std::filesystem::path& root) {
  const auto limit = [&](std::istream& quota_file, std::istream& period_file) {
    double quota = 0;
    double period = 0;
    if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) {
      // Whole ones: a thread more than that would wait for the others' time, and all of a rank's for it.
      cores = std::min(cores, std::max(1, static_cast<int>(std::min(quota / period, double{1 << 20}))));
    }
  };
  // Control groups, microseconds per period; without a quota "max" (version 2) or -1 (version 1).
  std::ifstream both(root / "sys/fs/cgroup/cpu.max");
  limit(both, both);
  std::ifstream quota(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream period(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us");
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

// SageMaker's P and G families have GPUs.
bool has_gpus(const std::string& instance_type) {
  return instance_type == "local_gpu" || ((instance_type.starts_with("ml.p") || instance_type.starts_with("ml.g")) &&
                                          instance_type.size() > 4 && std::isdigit(instance_type[4]) != 0);
}

// How many GPUs of this host the job computes on; 0 for a job on CPUs.
int gpus_to_use(const Job& job, const Machine& machine, Topology& topology) {
  std::vector<std::string>& warnings = topology.warnings;
  const DeviceKind wanted = job.config.hyperparameters.device;
  if (!job.takes_part) return 0;
  if (job.scheduled_gpus > 0 && (wanted == DeviceKind::kCpu || machine.gpus == 0)) {
    const std::string text = "Slurm has given this job GPUs of " + job.config.host +
                             " (SLURM_GPUS_ON_NODE=" + std::to_string(job.scheduled_gpus) +
                             (wanted == DeviceKind::kCpu ? "), and device=cpu" : "), and CUDA sees none");
    // A job that says device=auto or cpu means it; what it is by default may be a mistake.
    if (wanted == DeviceKind::kCuda || !job.hyperparameters.contains("device")) {
      topology.absent.push_back(
          text +
          "; look at the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES, or set device=auto or device=cpu to "
          "train on the host's cores");
    } else {
      warnings.push_back("WARNING: " + text + ": they are not used");
    }
  }
  if (wanted == DeviceKind::kCpu) return 0;
  const bool gpu_instance = has_gpus(job.instance_type);
  const std::string announced = (gpu_instance ? ", whose instance type is " + job.instance_type : "") +
                                (job.gpus ? "; SM_NUM_GPUS is " + std::to_string(*job.gpus) : "");
  const bool unable = wanted == DeviceKind::kCuda && !machine.cuda;
  const bool none = machine.gpus == 0 && (wanted == DeviceKind::kCuda || job.gpus.value_or(0) > 0 || gpu_instance);
  if (unable) {
    topology.absent.push_back(
        "device=cuda: this lockstep was built without CUDA; build it where nvcc is, or set device=cpu");
  } else if (none) {
    topology.absent.push_back(
        "the job is to run on GPUs, and CUDA sees none on " + job.config.host + announced +
        "; look at the driver (nvidia-smi), CUDA_VISIBLE_DEVICES and the container's GPU option, or set "
        "device=cpu to train on its cores");
  }
  if (none && job.gpus.value_or(0) > 0) return *job.gpus;
  if (none) {
    const int planned = std::max(1, static_cast<int>(job.config.hyperparameters.ranks_per_host));
    warnings.push_back("WARNING: how many GPUs " + job.config.host + " has is not known here; planned with " +
                       std::to_string(planned) + " (ranks_per_host says how many)");
    return planned;
  }
  if (unable) return machine.gpus;
  if (machine.gpus > 0 && !machine.cuda) {
    warnings.push_back(
        "WARNING: this host has " + std::to_string(machine.gpus) +
        " GPUs, and this lockstep was built without CUDA: it trains on the host's cores. Set device=cpu to "
        "say that this is meant");
    return 0;
  }
  if (job.gpus.value_or(0) > 0 && *job.gpus != machine.gpus) {
    warnings.push_back("WARNING: SM_NUM_GPUS is " + std::to_string(*job.gpus) + ", and CUDA sees " +
                       std::to_string(machine.gpus) + " GPUs (CUDA_VISIBLE_DEVICES, MIG): the job uses " +
                       std::to_string(std::min(*job.gpus, machine.gpus)));
    return std::min(*job.gpus, machine.gpus);
  }
  return machine.gpus;
}

}  // namespace

Machine inspect_machine(const std::filesystem::path& root) {
  const int cores = cores_by_affinity();
  return {.cores = cores_by_quota(cores, root),
          .bound = cores < ::sysconf(_SC_NPROCESSORS_ONLN),
          .gpus = visible_gpus(),
          .cuda = LOCKSTEP_CUDA};
}

int Topology::ranks() const {
  int total = 0;
  for (const HostPlan& host : hosts) total += host.ranks;
  return total;
}

const std::string& Topology::host_of(int rank) const {
  for (const HostPlan& host : hosts) {
    if (rank < host.ranks) return host.name;
    rank -= host.ranks;
  }
  throw InternalError("the job has no rank " + std::to_string(rank + ranks()));
}

void require_data_for(const Topology& topology, const Hyperparameters& hyperparameters) {
  if (hyperparameters.batch_size < topology.ranks()) {
    throw InputError("batch_size=" + std::to_string(hyperparameters.batch_size) + " is less than the job's " +
                     std::to_string(topology.ranks()) + " ranks: some would never have data");
  }
}

Topology plan_topology(const Job& job, const Machine& machine, std::optional<int> ranks_on_host) {
  const Hyperparameters& options = job.config.hyperparameters;
  Topology topology{.hosts = {}, .warnings = {}};
  int gpus = gpus_to_use(job, machine, topology);
  const int planned = options.ranks_per_host > 0 ? static_cast<int>(options.ranks_per_host) : std::max(gpus, 1);
  const int ranks = ranks_on_host.value_or(planned);
  // A launcher such as srun may have given each rank one GPU of its own to see.
  const bool bound = ranks_on_host && gpus == 1;
  if (gpus > 0 && ranks > gpus && !options.share_gpus && !bound) {
    topology.absent.push_back(std::to_string(ranks) + " ranks on " + job.config.host + " need a GPU each, and there " +
                              (gpus == 1 ? "is 1" : "are " + std::to_string(gpus)) +
                              "; start fewer ranks, or set device=cpu to train on its cores");
    gpus = ranks;
  }
  if (gpus > ranks) {
    topology.warnings.push_back("WARNING: " + std::to_string(gpus - ranks) + " of this host's " + std::to_string(gpus) +
                                " GPUs are not used: there are " + std::to_string(ranks) + " ranks");
  }
  const int sharing = ranks_on_host && machine.bound ? 1 : ranks;
  const int threads =
      options.threads_per_rank > 0 ? static_cast<int>(options.threads_per_rank) : std::max(1, machine.cores / sharing);
  topology.oversubscribed = ranks > machine.cores;
  for (const std::string& host : ranks_on_host ? std::vector{job.config.host} : job.hosts) {
    topology.hosts.push_back({.name = host, .gpus = gpus, .ranks = ranks, .threads_per_rank = threads});
  }
  // Hosts that meet count their ranks then.
  if (topology.hosts.size() == 1 || job.launcher == Launcher::kSsh) require_data_for(topology, options);
  return topology;
}

}  // namespace lockstep
