// One rank's end of an NCCL communicator, from its start with a deadline to its end, watched in between.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <thread>

#include "engine/collectives/NcclApi.h"
#include "engine/collectives/NcclDeadlines.h"
#include "engine/collectives/NcclLaunches.h"

namespace lockstep {

/// A thread of its own makes the communicator, asks it for errors between the owner's calls, and finalizes or aborts
/// it. NCCL lets one thread at a time use a communicator: the owner's calls run inside `use`, the thread's between
/// them. So a rank that is stuck inside a call of NCCL is not freed, one that waits for the device is: the abort ends
/// its kernels.
///
/// What fails first, here or at the thread, is the failure: the thread aborts the communicator, and all calls throw the
/// failure from then on. An abort ends what NCCL has on the device at once, but comes back only when no graph is left
/// that has captured its collectives. When NCCL does not come back from starting, finalizing or aborting in time, the
/// thread is left behind, and the process should soon end.
class NcclConnection {
 public:
  /// Blocks until all `size` ranks have come with this id. Throws PeerError after the deadline, or what NCCL says.
  NcclConnection(std::shared_ptr<const NcclApi> api, std::shared_ptr<NcclLaunches> launches, int rank, int size,
                 const ncclUniqueId& id, int device, const NcclDeadlines& deadlines);
  NcclConnection(const NcclConnection&) = delete;
  NcclConnection& operator=(const NcclConnection&) = delete;
  /// `close`.
  ~NcclConnection();

  /// Runs `calls`, with the launches and the communicator to themselves; they may `use` again. What they throw is the
  /// failure, unless NCCL knows of one that explains it.
  void use(const std::function<void(ncclComm_t)>& calls);
  /// Asks NCCL for errors, and throws the failure if there is one.
  void check();
  /// Makes this the failure, unless there is one; the operation under way is added. Throws the failure.
  [[noreturn]] void fail(const std::string& text);
  /// Aborts the communicator and waits for it, but not long.
  void abort();
  /// Ends in order, or after a failure by abort. Says whether NCCL has let go of the device.
  bool close();

 private:
  struct State;

  static void watch(const std::shared_ptr<State>& state, int size, const ncclUniqueId& id, int device);

  std::shared_ptr<State> state_;  ///< shared with the thread, which may outlive this
  std::thread thread_;
};

}  // namespace lockstep
