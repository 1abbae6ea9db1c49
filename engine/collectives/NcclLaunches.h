// The order of collectives on a GPU: launches, numbered, each with an event behind it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/collectives/NcclApi.h"

namespace lockstep {

/// A launch is one collective. The events are made at the start and used in turn: none is made
/// while a step is captured into a CUDA graph. One whose event a later launch of the same stream has taken is waited
/// for through that. One thread at a time may call.
class NcclLaunches {
 public:
  /// Errors name `rank`. The current device must be that of the streams.
  NcclLaunches(std::shared_ptr<const NcclApi> api, int rank);

  /// Notes an operation that has been launched on `stream`, and returns the launch's number.
  std::uint64_t launched(const NcclOperation& operation, cudaStream_t stream);
  /// What is enqueued on `stream` from now on runs after the launch.
  void join(std::uint64_t launch, cudaStream_t stream) const;

  /// All launches are known to be done.
  void all_done() { done_ = next_; }
  /// The oldest launch that is not done, for errors: "" when all are. Those that became part of a graph are left out,
  /// and what a replayed graph launches is not known here. Not while this thread captures.
  std::string under_way() const;

 private:
  static constexpr std::size_t kEvents = 256;
  struct Launch {
    CudaOwner<CUevent_st> event;
    NcclOperation operation;
    bool captured = false;  ///< its event is one of a graph's, and never done
  };

  Launch& at(std::uint64_t launch) { return launches_[launch % kEvents]; }
  const Launch& at(std::uint64_t launch) const { return launches_[launch % kEvents]; }

  std::shared_ptr<const NcclApi> api_;
  std::array<Launch, kEvents> launches_;
  std::uint64_t next_ = 0;
  std::uint64_t done_ = 0;  ///< those below are known to be done
};

}  // namespace lockstep
