// Splits the time of a step into its phases.
#pragma once

#include <chrono>

#include "common/SpanLog.h"
#include "engine/report/StepSeconds.h"

namespace lockstep {

/// Call `start`, and at the end of each phase `ends` with the phase's field: the time since the call before is added to
/// it. `skip` leaves out the time since the call before. Each call reads the clock once.
class PhaseClock {
 public:
  /// Phases are also spans of this log, while it is on; nullptr: there is none.
  explicit PhaseClock(SpanLog* spans = nullptr) : spans_(spans) {}

  void start() {
    seconds_ = {};
    last_ = Clock::now();
    if (writes()) thread_last_ = thread_cpu_seconds();
  }
  void ends(double StepSeconds::*phase) {
    const auto now = Clock::now();
    seconds_.*phase += std::chrono::duration<double>(now - last_).count();
    if (writes()) write_down(phase, now);
    last_ = now;
  }
  void skip() {
    last_ = Clock::now();
    if (writes()) thread_last_ = thread_cpu_seconds();
  }
  const StepSeconds& seconds() const { return seconds_; }

 private:
  using Clock = std::chrono::steady_clock;

  bool writes() const { return spans_ != nullptr && spans_->on(); }
  void write_down(double StepSeconds::*phase, Clock::time_point now) {
    const double thread = thread_cpu_seconds();
    for (const StepPhase& known : kStepPhases) {
      if (known.seconds == phase) {
        spans_->add({.name = known.name,
                     .kind = SpanKind::kCompute,
                     .begin = last_,
                     .end = now,
                     .thread_seconds = thread - thread_last_});
      }
    }
    thread_last_ = thread;
  }

  SpanLog* spans_;
  StepSeconds seconds_;
  Clock::time_point last_;
  double thread_last_ = 0;  ///< of thread_cpu_seconds, while phases are written down
};

}  // namespace lockstep
