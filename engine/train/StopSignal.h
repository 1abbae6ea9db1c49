// A request from outside to stop early and in good order.
#pragma once

#include <functional>

namespace lockstep {

/// Asked at step boundaries: whether the job should stop.
using StopRequested = std::function<bool()>;

/// From its construction on, SIGUSR1 to this process is such a request: mpirun hands that signal on to its ranks and
/// leaves them the time they need. One per process; the request stays.
class StopSignal {
 public:
  StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested() const;
  /// Since the request; 0 without one.
  double seconds_since() const;
};

}  // namespace lockstep
