// How NCCL reaches other hosts, by what it says while it starts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/File.h"
#include "engine/collectives/Communicator.h"

namespace lockstep {

/// NCCL has no call that tells which network it has chosen; its lines at level INFO have said it in the same words
/// since its first versions ("Using network Socket"), and so has AWS's plugin ("NET/OFI Initializing
/// aws-ofi-nccl 1.19.0", "NET/OFI Selected provider is efa"). A value.
struct NcclNetwork {
  std::string name;      ///< as NCCL calls it: Socket, IB, Libfabric, AWS Libfabric; "" when it has not said
  std::string provider;  ///< of libfabric: efa, tcp; "" for other networks
  std::string plugin;    ///< "aws-ofi-nccl 1.19.0"; "" when there is none

  bool known() const { return !name.empty(); }
  bool is_efa() const { return provider.starts_with("efa"); }
  /// What all ranks must have in common: "Libfabric (efa)".
  std::string transport() const;
  /// For the log: "Libfabric (efa), plugin aws-ofi-nccl 1.19.0".
  std::string description() const;
  /// What is known to go wrong with this version of the plugin, and what to do, or "".
  std::string warning() const;
};

/// From NCCL's lines; those that are not known are passed over.
NcclNetwork read_nccl_network(const std::string& lines);

/// What the log should say of it, warnings of any rank among it: the same lines on all ranks. Throws CollectiveError on
/// all when two ranks' networks differ, and when one whose host has EFA (`wants_efa`) uses another. A rank that does
/// not know its network is not compared. A collective.
std::vector<std::string> agree_on_network(Communicator& communicator, const NcclNetwork& own, bool wants_efa);

/// Takes what NCCL writes from now on, at level INFO, into memory, until `take`. Made before NCCL's first call; after
/// `take` NCCL writes what the user's variables say.
///
/// Takes nothing when the user reads those lines: when NCCL_DEBUG is INFO or TRACE, or NCCL_DEBUG_FILE is set. NCCL's
/// warnings reach a user who wants them (NCCL_DEBUG=WARN) with `take`.
class NcclLog {
 public:
  /// `reset`: makes NCCL read its variables again; nothing when it cannot.
  explicit NcclLog(std::function<void()> reset = reset_of_loaded_nccl());
  NcclLog(const NcclLog&) = delete;
  NcclLog& operator=(const NcclLog&) = delete;
  ~NcclLog();

  /// What has been written, and puts the variables back. Nothing when it was not taken here.
  std::optional<std::string> take();

  /// ncclResetDebugInit of the NCCL that this process has loaded, if it has it.
  static std::function<void()> reset_of_loaded_nccl();

 private:
  std::function<void()> reset_;
  FileDescriptor memory_;
  std::optional<std::string> level_;       ///< the user's NCCL_DEBUG
  std::optional<std::string> subsystems_;  ///< the user's NCCL_DEBUG_SUBSYS
};

}  // namespace lockstep
