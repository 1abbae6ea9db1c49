// What a rank computes on and how it reaches the others, from its job.
#pragma once

#include <memory>

#include "engine/collectives/Communicator.h"
#include "engine/collectives/RankPlace.h"
#include "engine/report/EventSink.h"
#include "engine/train/RankContext.h"
#include "job/JobConfig.h"

namespace lockstep {

/// The cores of its host, or one of its GPUs with a communicator of its own for its memory. One per process, made
/// before any tensor.
class RankDevice {
 public:
  /// A collective of `host`, which must outlive this. Throws CollectiveError on all ranks when one of them cannot use
  /// its GPU, or two have the same. On rank 0, tells `events` how NCCL reaches other hosts.
  /// `track`: where collectives of the device's memory are noted.
  RankDevice(const JobConfig& config, const RankPlace& place, Communicator& host, CollectiveTrack& track,
             EventSink& events);

  /// Lives as long as this. `position`: where this rank says what it is doing.
  RankContext context(const RankPosition& position) const {
    return {.device = *device_,
            .communicator = communicator_ ? *communicator_ : host_,
            .host = host_,
            .hosts = hosts_,
            .host_number = host_number_,
            .position = position};
  }
  /// For the memory of the device, where that is not `host`; else null.
  Communicator* own_communicator() const { return communicator_.get(); }

 private:
  Communicator& host_;
  int hosts_;
  int host_number_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Communicator> communicator_;  ///< none where `host_` will do: on CPUs, and for a rank alone
};

}  // namespace lockstep
