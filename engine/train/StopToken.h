// A request from outside to stop early and in good order, as those see it who heed it.
#pragma once

#include <functional>

namespace lockstep {

/// Asked at step boundaries: whether the job should stop.
using StopRequested = std::function<bool()>;

/// Who makes it decides where requests come from: signals, or a caller of the library. Without functions of its own
/// there are no requests.
struct StopToken {
  StopRequested requested = [] { return false; };
  /// After a request: half of the time in which all must be over has gone by.
  std::function<bool()> half_over = [] { return false; };
};

}  // namespace lockstep
