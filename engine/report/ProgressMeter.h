// When progress is shown, and how fast it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "engine/report/Events.h"

namespace lockstep {

/// How fast training goes.
struct Speed {
  double samples_per_second = 0;  ///< since progress was last shown
  double seconds_left = 0;        ///< of the job, by the mean of all steps so far, without evaluations and checkpoints
  double data_wait_share = 0;     ///< of the time since progress was last shown, on rank 0
};

/// Decides after which steps a sink shows progress: every few seconds, on a terminal several times a second and at the
/// end of an epoch; with `lines`, so many times in the whole job at least, if it has the steps. It takes the time from
/// the events, so that all sinks with the same settings show the same steps. Tell it every step, and at each event that
/// says that something other than steps took time call `waited`, where the event says how much, or `pause`.
class ProgressMeter {
 public:
  /// What files have of a long job at least.
  static constexpr std::int64_t kFewestLines = 200;

  ProgressMeter(bool terminal, double seconds_between_lines, std::int64_t lines = 0)
      : terminal_(terminal), seconds_between_lines_(seconds_between_lines), lines_(lines) {}

  /// Nothing when progress is not to be shown now.
  std::optional<Speed> step_done(const StepDone& event);
  /// Time until the next step says nothing about training speed.
  void pause() { paused_ = true; }
  /// So much of the time since the last step was no training.
  void waited(double seconds);

 private:
  bool due_by_steps(const StepDone& event) const;

  bool terminal_;
  double seconds_between_lines_;
  std::int64_t lines_;
  bool paused_ = true;
  std::chrono::steady_clock::time_point last_line_{};
  std::chrono::steady_clock::time_point last_step_{};
  std::int64_t samples_since_line_ = 0;
  double data_wait_since_line_ = 0;  ///< seconds
  double timed_seconds_ = 0;
  std::int64_t timed_steps_ = 0;
};

}  // namespace lockstep
