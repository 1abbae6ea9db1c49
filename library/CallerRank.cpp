#include "library/CallerRank.h"

#include <ATen/Parallel.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "common/Error.h"
#include "engine/collectives/Agreement.h"
#include "engine/collectives/LoneCommunicator.h"
#include "job/JobConfig.h"
#if LOCKSTEP_CUDA
#include <cuda_runtime_api.h>
#endif

namespace lockstep {

namespace {

std::string name_of_host() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

// That this process may use.
int own_cores() {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return static_cast<int>(std::thread::hardware_concurrency());
  return CPU_COUNT(&cores);
}

int choose_threads(const Hyperparameters& options, const RankPlace& place) {
  if (options.threads_per_rank > 0) return static_cast<int>(options.threads_per_rank);
  if (place.ranks_on_host == 1) return at::get_num_threads();
  const int share = static_cast<int>(std::thread::hardware_concurrency()) / place.ranks_on_host;
  return std::max(1, std::min(share, own_cores()));
}

// GPUs that this process sees.
int visible_devices() {
#if LOCKSTEP_CUDA
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  throw InputError(std::string("device=cuda, and this process sees no GPU: ") + cudaGetErrorString(error));
#else
  throw InputError("device=cuda, and Lockstep was built for CPUs only");
#endif
}

// Where MPI lets no other thread call, nothing runs beside computing.
MpiMode mode_of(int threads, const RankPlace& place) {
  int provided = MPI_THREAD_SINGLE;
  MPI_Query_thread(&provided);
  if (provided < MPI_THREAD_MULTIPLE) return MpiMode::kInline;
  return choose_mpi_mode(own_cores(), place.ranks_on_host, threads);
}

}  // namespace

CallerRank::CallerRank(std::optional<int> communicator, const Hyperparameters& options, EventSink& events)
    : host_name_(name_of_host()) {
  if (communicator) session_.emplace(*communicator);
  const RankPlace place = session_ ? session_->place() : RankPlace();
  const int threads = choose_threads(options, place);
  if (threads != at::get_num_threads()) at::set_num_threads(threads);
  if (session_) {
    auto ranks = std::make_unique<MpiCommunicator>(*session_, mode_of(threads, place));
    if (options.deterministic) ranks->sum_in_rank_order();
    communicator_ = std::move(ranks);
  } else {
    communicator_ = std::make_unique<LoneCommunicator>();
  }
  JobConfig config;
  config.host = host_name_;
  config.threads = threads;
  if (options.device == DeviceKind::kCuda) {
    require_all_ok(*communicator_, [&] { config.gpus = visible_devices(); });
  }
  config.hyperparameters = options;
  device_.emplace(config, place, *communicator_, track_, events);
}

}  // namespace lockstep
