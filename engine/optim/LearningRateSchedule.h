// The learning rate of each step.
#pragma once

#include <cstdint>

#include "job/Hyperparameters.h"

namespace lockstep {

/// A pure function of the step, counted from 0. During the first `warmup_steps` steps W the rate rises linearly to the
/// base rate: base · (step + 1) / W. After that, with t = step - W and T = total steps - W:
///   constant: base
///   step:     base · gamma^⌊t / schedule_step_size⌋                       (torch.optim.lr_scheduler.StepLR)
///   linear:   base + (final - base) · t / T                               (LinearLR)
///   cosine:   final + (base - final) · (1 + cos(π t / T)) / 2             (CosineAnnealingLR)
class LearningRateSchedule {
 public:
  LearningRateSchedule(const Hyperparameters& hyperparameters, std::int64_t total_steps);
  double learning_rate(std::int64_t step) const;

 private:
  ScheduleKind kind_;
  double base_;
  double final_;
  double gamma_;
  std::int64_t step_size_;
  std::int64_t warmup_steps_;
  std::int64_t decay_steps_;
};

}  // namespace lockstep
