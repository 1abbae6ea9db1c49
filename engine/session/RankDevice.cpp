#include "engine/session/RankDevice.h"

#include <ATen/Context.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "common/Error.h"
#include "engine/collectives/Agreement.h"
#include "engine/device/CpuDevice.h"
#if LOCKSTEP_CUDA
#include "engine/collectives/DevicePlacement.h"
#include "engine/collectives/NcclCommunicator.h"
#include "engine/collectives/NcclNetwork.h"
#include "engine/device/CudaModule.h"
#include "engine/device/KernelForm.h"
#endif

namespace lockstep {

namespace {

// Read when cuBLAS and NCCL are first used. What the environment says already stays: PyTorch refuses a workspace that
// is not deterministic. The ring is the one algorithm of NCCL that is there for every collective and does not add in a
// switch, whose order differs from call to call.
void be_deterministic() {
  at::globalContext().setDeterministicAlgorithms(/*b=*/true, /*warn_only=*/false);
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  ::setenv("NCCL_ALGO", "Ring", 0);
}

}  // namespace

RankDevice::RankDevice(const JobConfig& config, const RankPlace& place, Communicator& host,
                       [[maybe_unused]] CollectiveTrack& track, [[maybe_unused]] EventSink& events)
    : host_(host), hosts_(place.hosts), host_number_(place.first_rank_on_host) {
  if (config.hyperparameters.deterministic) be_deterministic();
  if (config.gpus == 0) {
    device_ = std::make_unique<CpuDevice>(static_cast<int>(config.threads));
    return;
  }
#if LOCKSTEP_CUDA
  const bool shared = config.hyperparameters.share_gpus;
  int index = 0;
  require_all_ok(host, [&] {
    index = choose_device(
        {.host = config.host,
         .rank_on_host = place.rank_on_host,
         .ranks_on_host = place.ranks_on_host,
         .announced = config.local_rank < 0 ? std::nullopt : std::optional(static_cast<int>(config.local_rank)),
         .visible_devices = static_cast<int>(config.gpus)},
        shared);
    device_ = load_cuda_device(
        {.index = index, .tf32 = config.hyperparameters.tf32, .deterministic = config.hyperparameters.deterministic});
  });
  const std::string host_id = require_distinct_devices(host, config.host, device_->pci_bus_id(), shared);
  if (!host_id.empty()) ::setenv("NCCL_HOSTID", host_id.c_str(), 1);
  if (host.size() == 1) return;
  const auto api = load_nccl();
  std::optional<NcclLog> log;
  if (place.hosts > 1) log.emplace();
  communicator_ = std::make_unique<NcclCommunicator>(api, host, index, current_stream());
  communicator_->keep_log_in(track);
  if (!log) return;
  const NcclNetwork network = read_nccl_network(log->take().value_or(""));
  for (const std::string& line : agree_on_network(host, network, config.efa && !config.hyperparameters.allow_tcp)) {
    const std::string_view warning = "WARNING: ";
    const bool warns = line.starts_with(warning);
    if (host.rank() == 0) events.note({.text = warns ? line.substr(warning.size()) : line, .warning = warns});
  }
#else
  throw InternalError("a job for GPUs reached a rank that was built without CUDA");
#endif
}

}  // namespace lockstep
