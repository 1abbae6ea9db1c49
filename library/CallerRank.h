// A rank of a program of somebody else's.
#pragma once

#include <memory>
#include <optional>

#include "engine/collectives/MpiCommunicator.h"
#include "engine/collectives/MpiSession.h"
#include "engine/report/EventSink.h"
#include "engine/session/RankDevice.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Its communicators and its device: alone, without MPI, or in the program's MPI job. MPI is neither started nor ended
/// here. Collectives run in the calling thread, unless MPI lets any thread call and there is a core to spare.
class CallerRank {
 public:
  /// `communicator`: as MPI_Comm_c2f says it. Sets the number of threads that PyTorch computes on: that of the
  /// hyperparameter threads_per_rank; else, beside other ranks, this rank's part of the host's cores. A collective.
  CallerRank(std::optional<int> communicator, const Hyperparameters& options, EventSink& events);

  RankContext context() const { return device_->context(RankPosition()); }
  const std::string& host() const { return host_name_; }

 private:
  std::string host_name_;
  std::optional<MpiSession> session_;
  std::unique_ptr<Communicator> communicator_;
  CollectiveTrack track_{};  ///< of a GPU's; nobody watches it
  std::optional<RankDevice> device_;
};

}  // namespace lockstep
