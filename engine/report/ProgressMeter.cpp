#include "engine/report/ProgressMeter.h"

#include <algorithm>
#include <utility>

namespace lockstep {

namespace {

constexpr double kRedrawSeconds = 0.2;

double seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

std::optional<Speed> ProgressMeter::step_done(const StepDone& event) {
  if (std::exchange(paused_, false)) {
    last_step_ = last_line_ = event.when;
    samples_since_line_ = 0;
    data_wait_since_line_ = 0;
    return std::nullopt;
  }
  samples_since_line_ += event.batch_size;
  data_wait_since_line_ += event.seconds.data_wait;
  ++timed_steps_;
  timed_seconds_ += seconds(event.when - std::exchange(last_step_, event.when));
  const double elapsed = seconds(event.when - last_line_);
  const bool last_of_epoch = event.step == event.steps;
  if (elapsed < (terminal_ ? kRedrawSeconds : seconds_between_lines_) && !(terminal_ && last_of_epoch) &&
      !due_by_steps(event)) {
    return std::nullopt;
  }
  const Speed speed = {.samples_per_second = static_cast<double>(samples_since_line_) / std::max(elapsed, 1e-9),
                       .seconds_left = timed_seconds_ / static_cast<double>(timed_steps_) *
                                       static_cast<double>(event.total_steps - event.global_step),
                       .data_wait_share = std::exchange(data_wait_since_line_, 0) / std::max(elapsed, 1e-9)};
  last_line_ = event.when;
  samples_since_line_ = 0;
  return speed;
}

// Every so many steps, counted from the job's start.
bool ProgressMeter::due_by_steps(const StepDone& event) const {
  if (lines_ == 0) return false;
  return event.global_step % std::max<std::int64_t>(1, event.total_steps / lines_) == 0;
}

void ProgressMeter::waited(double seconds) {
  const auto time =
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds));
  last_step_ += time;
  last_line_ += time;
}

}  // namespace lockstep
