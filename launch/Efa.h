// AWS's Elastic Fabric Adapter: what a host has of it, and what NCCL must be told.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace lockstep {

/// NCCL reaches EFA through libfabric's provider `efa` and the plugin aws-ofi-nccl. A value.
struct Efa {
  int devices = 0;               ///< that this container may open: /dev/infiniband/uverbs…
  bool rdma = false;             ///< they read and write the other side's memory: from the second generation on
  std::filesystem::path plugin;  ///< "" when there is none

  /// For the ranks: FI_PROVIDER, FI_EFA_USE_DEVICE_RDMA, FI_EFA_FORK_SAFE, NCCL_NET_PLUGIN. Nothing without devices and
  /// plugin.
  std::map<std::string, std::string> variables() const;
  /// One line for the log: devices, provider and plugin, or a warning that the plugin is missing. "" without devices.
  std::string description() const;
};

/// Devices of AWS among those below `root`, told by their PCI numbers (vendor 1d0f, devices efa0 to efaf, as Linux's
/// efa driver lists them); the plugin in `library_directories` and where AWS's installer puts it.
Efa find_efa(const std::vector<std::filesystem::path>& library_directories, const std::filesystem::path& root = "/");

}  // namespace lockstep
