// An NCCL and a device that are a list of calls: what was called, in which order, and what a call is told to do.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/collectives/NcclApi.h"

namespace lockstep {

/// Any thread may call. Besides what tests ask for it watches two rules: a communicator is in use by one thread at a
/// time, and no more after its end.
class FakeNccl {
 public:
  FakeNccl();
  FakeNccl(const FakeNccl&) = delete;
  FakeNccl& operator=(const FakeNccl&) = delete;
  /// Lets go of what hangs.
  ~FakeNccl();

  std::shared_ptr<NcclApi> api() const { return api_; }
  /// The address as lines show it; without a name it is a question mark.
  void name(const void* address, const std::string& name);
  /// The calls since the last time, such as "ncclCommAbort(comm)"; without questions about errors and progress.
  std::vector<std::string> take_calls();
  int count(const std::string& call) const;
  /// Empty while the two rules are kept.
  std::string broken_rule() const;

  /// The call's n-th time from now on fails so.
  void fail(const std::string& call, int result, int nth = 1);
  /// The call does not return before `release`.
  void hang(const std::string& call);
  void release();
  void set_version(int version);
  void set_id(const std::string& id);
  void set_last_error(const std::string& text);
  void set_async_error(ncclResult_t error);
  /// The device has done all up to this many records of events on the communicator's stream, and stands; an abort ends
  /// that.
  void stand_after(int records);
  /// From now on what is enqueued becomes part of a graph, or no longer: events that are recorded so cannot be asked
  /// for.
  void capture(bool capturing);
  /// What a failed call has left for the next that asks CUDA for its last error.
  cudaError_t last_cuda_error() const;
  /// What is said of the communicator's configuration.
  int blocking() const;

 private:
  struct State;

  std::shared_ptr<State> state_;  ///< shared with the calls: a thread left behind may still be in one
  std::shared_ptr<NcclApi> api_;
};

}  // namespace lockstep
