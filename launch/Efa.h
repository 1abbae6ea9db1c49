// AWS's Elastic Fabric Adapter: what a host has of it, and what NCCL must be told.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "launch/JobEnvironment.h"

namespace lockstep {

/// NCCL reaches EFA through libfabric's provider `efa` and the plugin aws-ofi-nccl. A value.
struct Efa {
  int present = 0;               ///< on this host's bus
  int devices = 0;               ///< that this container may open: /dev/infiniband/uverbs…
  bool rdma = false;             ///< they read and write the other side's memory: from the second generation on
  std::filesystem::path plugin;  ///< "" when there is none
  std::string asked;             ///< what NCCL_NET_PLUGIN says, when that is set and names nothing that is here
  /// For the ranks: FI_PROVIDER, FI_EFA_USE_DEVICE_RDMA, FI_EFA_FORK_SAFE, NCCL_NET_PLUGIN. Nothing when EFA cannot be
  /// used. What the user has set is not among them, unless NCCL would not find the plugin by it.
  std::map<std::string, std::string> variables;

  bool usable() const { return devices > 0 && !plugin.empty(); }
  /// Why a host that has EFA cannot use it, and what to do. "" when it can, or has none.
  std::string obstacle() const;
  /// One line for the log: devices, provider and plugin, or the obstacle as a warning. "" on a host without EFA.
  std::string description() const;
};

/// Devices of AWS among those below `root`, told by their PCI numbers (vendor 1d0f, devices efa0 to efaf, as Linux's
/// efa driver lists them). The plugin under each of the names it has had, whatever NCCL would look for: what
/// NCCL_NET_PLUGIN of `environment` names, then AWS's names in the directories of LD_LIBRARY_PATH, those of the system
/// and those of AWS's installer.
Efa find_efa(const Environment& environment, const std::filesystem::path& root = "/");

}  // namespace lockstep
