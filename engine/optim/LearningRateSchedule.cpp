#include "engine/optim/LearningRateSchedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/Error.h"

namespace lockstep {

LearningRateSchedule::LearningRateSchedule(const Hyperparameters& hyperparameters, std::int64_t total_steps)
    : kind_(hyperparameters.schedule),
      base_(hyperparameters.learning_rate),
      final_(hyperparameters.final_learning_rate),
      gamma_(hyperparameters.schedule_gamma),
      step_size_(hyperparameters.schedule_step_size),
      warmup_steps_(hyperparameters.warmup_steps),
      decay_steps_(std::max<std::int64_t>(1, total_steps - hyperparameters.warmup_steps)) {
  if (warmup_steps_ > total_steps) {
    throw InputError("warmup_steps=" + std::to_string(warmup_steps_) + " is more than the job's " +
                     std::to_string(total_steps) + " steps: the learning rate would never be reached");
  }
}

double LearningRateSchedule::learning_rate(std::int64_t step) const {
  if (step < warmup_steps_) return base_ * static_cast<double>(step + 1) / static_cast<double>(warmup_steps_);
  const std::int64_t decayed = step - warmup_steps_;
  const double share = static_cast<double>(decayed) / static_cast<double>(decay_steps_);
  switch (kind_) {
    case ScheduleKind::kConstant:
      return base_;
    case ScheduleKind::kStep: {
      const std::int64_t decays = decayed / step_size_;
      return base_ * std::pow(gamma_, static_cast<double>(decays));
    }
    case ScheduleKind::kLinear:
      return base_ + (final_ - base_) * share;
    case ScheduleKind::kCosine:
      return final_ + (base_ - final_) * (1 + std::cos(std::numbers::pi * share)) / 2;
  }
  throw InternalError("unknown schedule");
}

}  // namespace lockstep
