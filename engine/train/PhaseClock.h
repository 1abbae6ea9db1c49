// Splits the time of a step into its phases.
#pragma once

#include <chrono>

#include "engine/report/StepSeconds.h"

namespace lockstep {

/// Call `start`, and at the end of each phase `ends` with the phase's field: the time since the call before is added to
/// it. `skip` leaves out the time since the call before. Each call reads the clock once.
class PhaseClock {
 public:
  void start() {
    seconds_ = {};
    last_ = Clock::now();
  }
  void ends(double StepSeconds::*phase) {
    const auto now = Clock::now();
    seconds_.*phase += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }
  void skip() { last_ = Clock::now(); }
  const StepSeconds& seconds() const { return seconds_; }

 private:
  using Clock = std::chrono::steady_clock;

  StepSeconds seconds_;
  Clock::time_point last_;
};

}  // namespace lockstep
