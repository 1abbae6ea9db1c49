#include "engine/report/ProgressMeter.h"

#include <algorithm>
#include <utility>

namespace lockstep {

namespace {

constexpr double kRedrawSeconds = 0.2;

double seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// By what its phases took.
double step_seconds(const StepDone& event) {
  double sum = 0;
  for (const StepPhase& phase : kStepPhases) sum += event.seconds.*phase.seconds;
  return sum;
}

}  // namespace

std::optional<Speed> ProgressMeter::step_done(const StepDone& event) {
  if (!last_step_) {
    last_step_ = last_line_ = event.when;
    return std::nullopt;
  }
  double took = seconds(event.when - std::exchange(*last_step_, event.when));
  // A checkpoint that was written beside training is told of some steps after it has held them up.
  const double waited = std::min(waited_, took);
  waited_ -= waited;
  took -= waited;
  if (std::exchange(paused_, false)) took = std::min(took, step_seconds(event));
  ++timed_steps_;
  timed_seconds_ += took;
  seconds_since_line_ += took;
  samples_since_line_ += event.batch_size;
  // What counts of a step is what is left of it: on a GPU its wait was in the time of an earlier one.
  data_wait_since_line_ += std::min(event.seconds.data_wait, took);
  if (!due(event)) return std::nullopt;
  last_line_ = event.when;
  const double training = std::max(std::exchange(seconds_since_line_, 0), 1e-9);
  return Speed{.samples_per_second = static_cast<double>(std::exchange(samples_since_line_, 0)) / training,
               .seconds_left = timed_seconds_ / static_cast<double>(timed_steps_) *
                               static_cast<double>(event.total_steps - event.global_step),
               .data_wait_share = std::exchange(data_wait_since_line_, 0) / training};
}

bool ProgressMeter::due(const StepDone& event) const {
  const bool last_of_epoch = event.step == event.steps;
  return seconds(event.when - last_line_) >= (terminal_ ? kRedrawSeconds : seconds_between_lines_) ||
         (terminal_ && last_of_epoch) || due_by_steps(event);
}

// Every so many steps, counted from the job's start.
bool ProgressMeter::due_by_steps(const StepDone& event) const {
  if (lines_ == 0) return false;
  return event.global_step % std::max<std::int64_t>(1, event.total_steps / lines_) == 0;
}

}  // namespace lockstep
