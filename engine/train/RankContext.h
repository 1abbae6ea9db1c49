// What a rank computes on, where it is, and how it reaches the others.
#pragma once

#include "engine/collectives/Communicator.h"
#include "engine/device/Device.h"
#include "watch/RankPosition.h"

namespace lockstep {

/// A rank's surroundings. All that it refers to must outlive what is given it.
struct RankContext {
  Device& device;
  Communicator& communicator;  ///< for the memory of the device
  Communicator& host;          ///< the same ranks, for the host's memory; on a CPU the same object
  int hosts = 1;               ///< on which the ranks are
  int host_number = 0;         ///< the same for the ranks of a host, and only for these
  RankPosition position{};     ///< where this rank says what it is doing

  /// Whether this is rank 0, which writes what the ranks have in common and tells what happens.
  bool leads() const { return host.rank() == 0; }
};

}  // namespace lockstep
