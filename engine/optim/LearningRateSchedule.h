// The learning rate of each step.
#pragma once

#include <cstdint>

#include "job/Hyperparameters.h"

namespace lockstep {

/// A pure function of the step, counted from 0. During the first W = `warmup_steps` steps the rate rises
/// linearly to the base rate: base · (step + 1) / W, as LinearLR(start_factor=1/W, total_iters=W-1) of
/// PyTorch's torch.optim.lr_scheduler. After that, with t = step - W, T = total steps - W and PyTorch's name
/// of the same formula:
///   constant: base
///   step:     base · gamma^⌊t / schedule_step_size⌋             (StepLR)
///   linear:   base + (final - base) · t / T                     (LinearLR with end_factor = final / base)
///   cosine:   final + (base - final) · (1 + cos(π t / T)) / 2   (CosineAnnealingLR)
/// Keras's CosineDecay with alpha = final / base is the same. The final rate is the one that a step after the
/// last would have.
class LearningRateSchedule {
 public:
  /// InputError when the warm-up is longer than the job.
  LearningRateSchedule(const Hyperparameters& hyperparameters, std::int64_t total_steps);
  /// `step`: 0 … total steps - 1.
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
