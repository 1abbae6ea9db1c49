// When progress is shown, and how fast it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "engine/report/Events.h"

namespace lockstep {

/// How fast training goes.
struct Speed {
  double samples_per_second = 0;  ///< of the steps since progress was last shown
  double seconds_left = 0;        ///< of the job, by the mean of all steps so far, without evaluations and checkpoints
  double data_wait_share = 0;     ///< of the time that the steps since progress was last shown took, on rank 0
};

/// Decides after which steps a sink shows progress: every few seconds, whatever these were spent on, on a terminal
/// several times a second and at the end of an epoch; with `lines`, so many times in the whole job at least, if it has
/// the steps. The first step only starts the clock. It takes the time from the events, so that all sinks with the same
/// settings show the same steps. Tell it every step, evaluation and checkpoint: what these two took is not the steps'.
class ProgressMeter {
 public:
  /// What files have of a long job at least.
  static constexpr std::int64_t kFewestLines = 200;

  ProgressMeter(bool terminal, double seconds_between_lines, std::int64_t lines = 0)
      : terminal_(terminal), seconds_between_lines_(seconds_between_lines), lines_(lines) {}

  /// Nothing when progress is not to be shown now.
  std::optional<Speed> step_done(const StepDone& event);
  /// Of the time until the next step only what its phases took is training.
  void evaluated() { paused_ = true; }
  void saved(const CheckpointSaved& event) { waited_ += event.stall; }

 private:
  bool due(const StepDone& event) const;
  bool due_by_steps(const StepDone& event) const;

  bool terminal_;
  double seconds_between_lines_;
  std::int64_t lines_;
  bool paused_ = false;  ///< since the last step there was an evaluation
  double waited_ = 0;    ///< seconds that training stood still, and that are still to be taken from steps
  std::chrono::steady_clock::time_point last_line_{};
  std::optional<std::chrono::steady_clock::time_point> last_step_{};
  std::int64_t samples_since_line_ = 0;
  double seconds_since_line_ = 0;    ///< of training
  double data_wait_since_line_ = 0;  ///< seconds
  double timed_seconds_ = 0;
  std::int64_t timed_steps_ = 0;
};

}  // namespace lockstep
