#include "engine/collectives/DevicePlacement.h"

#include <algorithm>
#include <vector>

#include "common/Error.h"

namespace lockstep {

int choose_device(const HostPlace& place, bool shared_allowed) {
  const auto number = [](int value) { return std::to_string(value); };
  if (place.announced && *place.announced != place.rank_on_host) {
    throw InputError("on " + place.host + " MPI counts this process as number " + number(place.rank_on_host) + " of " +
                     number(place.ranks_on_host) + " ranks, its launcher as number " + number(*place.announced) +
                     ": start the ranks with the mpirun of the MPI they link, and do not set the launcher's variables");
  }
  if (place.visible_devices == 1)
    return 0;  // perhaps each rank sees one of its own: whose it is, all find out together
  if (place.visible_devices < (shared_allowed ? 1 : place.ranks_on_host)) {
    throw InputError(place.host + " has " + number(place.ranks_on_host) + " ranks, but " +
                     number(place.visible_devices) +
                     " visible GPUs: lower ranks_per_host, or look at CUDA_VISIBLE_DEVICES and nvidia-smi");
  }
  return place.rank_on_host % place.visible_devices;
}

std::string require_distinct_devices(Communicator& communicator, const std::string& host, const std::string& pci_bus_id,
                                     bool shared_allowed) {
  const std::vector<std::string> hosts = communicator.all_gather(host);
  const std::vector<std::string> devices = communicator.all_gather(pci_bus_id);
  // How many ranks below `rank` have its GPU, and the last of them.
  const auto sharing_below = [&](std::size_t rank) {
    std::vector<std::size_t> ranks;
    for (std::size_t other = 0; other < rank; ++other) {
      if (hosts[other] == hosts[rank] && devices[other] == devices[rank]) ranks.push_back(other);
    }
    return ranks;
  };
  if (!shared_allowed) {
    for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
      const std::vector<std::size_t> others = sharing_below(rank);
      if (others.empty()) continue;
      throw CollectiveError(kExitBadInput, "ranks " + std::to_string(others[0]) + " and " + std::to_string(rank) +
                                               " on " + hosts[rank] + " both use GPU " + devices[rank] +
                                               "; each rank needs one of its own: lower ranks_per_host, or look at " +
                                               "CUDA_VISIBLE_DEVICES");
    }
  }
  const std::size_t before = sharing_below(static_cast<std::size_t>(communicator.rank())).size();
  return before == 0 ? "" : host + "#" + std::to_string(before);
}

}  // namespace lockstep
