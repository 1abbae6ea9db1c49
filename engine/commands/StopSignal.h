// A request from outside to stop early and in good order.
#pragma once

#include "engine/train/StopToken.h"

namespace lockstep {

/// From its construction on, SIGUSR1 and SIGTERM to this process are such requests. mpirun hands SIGUSR1 on to its
/// ranks and leaves them the time they need; SIGTERM comes from schedulers (scancel, a time limit), which kill 30 s
/// later as a rule. One that came earlier and was blocked counts. One per process; the request stays.
class StopSignal {
 public:
  /// `launched`: this process is a rank of a launcher of ours, which stops it by SIGUSR1; mpirun or OpenMPI's daemon,
  /// its parent, sends SIGTERM only to end it then, and it ends at once.
  explicit StopSignal(bool launched);
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested() const;
  /// After a request: half of the time in which all must be over has gone by.
  bool half_over() const;

  /// For those who heed requests; this must outlive it.
  StopToken token() const {
    return {.requested = [this] { return requested(); }, .half_over = [this] { return half_over(); }};
  }
};

}  // namespace lockstep
