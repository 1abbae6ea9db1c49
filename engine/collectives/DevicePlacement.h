// Which rank computes on which GPU.
#pragma once

#include <optional>
#include <string>

#include "engine/collectives/Communicator.h"

namespace lockstep {

/// What a rank knows of its place among the ranks and the GPUs of its host.
struct HostPlace {
  std::string host;
  int rank_on_host = 0;  ///< MpiSession
  int ranks_on_host = 1;
  std::optional<int> announced;  ///< the same number by the launcher, if it says it
  int visible_devices = 0;
};

/// The index of the rank's device: its number on its host, or 0 when it sees one device only. Throws InputError, with
/// the numbers, when launcher and MPI number the ranks differently or there are fewer devices than ranks;
/// `shared_allowed` lets ranks take turns at the devices.
int choose_device(const HostPlace& place, bool shared_allowed);

/// Throws CollectiveError, on every rank, when two ranks of a host have the same GPU: with the ranks, the host, the GPU
/// and what to do. When that is allowed, returns what this rank must set as NCCL_HOSTID before NCCL's first call, for
/// NCCL to take ranks that share a GPU for ranks of different hosts; "" when it must set nothing. A collective.
std::string require_distinct_devices(Communicator& communicator, const std::string& host, const std::string& pci_bus_id,
                                     bool shared_allowed);

}  // namespace lockstep
