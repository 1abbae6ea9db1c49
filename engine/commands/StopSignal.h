// A request from outside to stop early and in good order.
#pragma once

#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "engine/train/StopToken.h"

namespace lockstep {

/// While it lives, SIGUSR1 and SIGTERM to this process are such requests. mpirun hands SIGUSR1 on to its ranks and
/// leaves them the time they need; SIGTERM comes from schedulers (scancel, a time limit), which kill 30 s later as a
/// rule. One that came earlier and was blocked counts. The request stays.
///
/// A thread of its own takes the signals, and the thread that makes this, with all threads that it starts later, never
/// sees them: no call of MPI, of PMIx or of a file system is interrupted by one, at whatever moment it comes. One per
/// process, made before other threads. The signals stay blocked when it is gone.
class StopSignal {
 public:
  /// `launched`: this process is a rank of a launcher of ours, which stops it by SIGUSR1; mpirun or OpenMPI's daemon,
  /// its parent, sends SIGTERM only to end it then, and it ends at once.
  explicit StopSignal(bool launched);
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal();

  bool requested() const;
  /// After a request: half of the time in which all must be over has gone by.
  bool half_over() const;

  /// For those who heed requests; this must outlive it.
  StopToken token() const {
    return {.requested = [this] { return requested(); }, .half_over = [this] { return half_over(); }};
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::duration kNever = Clock::duration::max();

  void listen();
  void request(Clock::duration half_over);

  pid_t parent_;                                     ///< that sends SIGTERM only to end this process; 0: nobody does
  std::atomic<Clock::duration> half_over_ = kNever;  ///< when it is, since the clock's start; there is a request
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace lockstep
