// The learning rate of each step.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/optim/Plateau.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// A function of the step, counted from 0, and, with schedule=plateau, of the evaluations so far. During the first W =
/// `warmup_steps` steps the rate rises linearly to the base rate: base · (step + 1) / W, as LinearLR(start_factor=1/W,
/// total_iters=W-1) of PyTorch's torch.optim.lr_scheduler. After that, with t = step - W, T = total steps - W, γ =
/// `schedule_gamma` and PyTorch's name of the same formula:
///   constant:    base
///   step:        base · γ^⌊t / schedule_step_size⌋                  (StepLR)
///   exponential: base · γ^t, so after each step, not each epoch     (ExponentialLR)
///   linear:      base + (final - base) · t / T                      (LinearLR with end_factor = final / base)
///   cosine:      final + (base - final) · (1 + cos(π t / T)) / 2    (CosineAnnealingLR)
///   polynomial:  final + (base - final) · (1 - t / T)^power         (PolynomialLR, whose final rate is 0)
///   one_cycle:   up from base / div_factor, then down to final, both along half a cosine; base is reached in step
///                pct_start · T - 1, final in T - 1                  (OneCycleLR without cycle_momentum, with
///                                                                    final_div_factor = base / div_factor / final)
///   wsd:         base, and in the last D = `schedule_decay_steps` steps base + (final - base) · (t - (T - D)) / D:
///                warmup-stable-decay with a linear decay (Hägele et al. 2024)
///   plateau:     base, which falls with evaluations: see Plateau
/// Keras's CosineDecay with alpha = final / base is the same. But for one_cycle, the final rate is the one that a step
/// after the last would have. The evaluation after the last step counts for plateau, wherever that step is.
///
/// All ranks hold the same, and are told of the same evaluations.
class LearningRateSchedule {
 public:
  /// InputError when warm-up and decay are longer than the job.
  LearningRateSchedule(const Hyperparameters& hyperparameters, std::int64_t total_steps);

  /// `step`: 0 … total steps - 1.
  double learning_rate(std::int64_t step) const;
  /// The state was evaluated: `monitored` is the monitored metric's value. The rates of later steps may follow it.
  void evaluated(double monitored);

  /// What evaluations have changed, for checkpoints; nothing unless rates follow them.
  std::optional<Plateau::State> state() const;
  /// Throws InputError for a state that is missing, or that `state` has not returned.
  void check(const std::optional<Plateau::State>& state) const;
  /// Takes what `check` accepts.
  void restore(const std::optional<Plateau::State>& state);

 private:
  Hyperparameters hyperparameters_;
  std::int64_t total_steps_;
  std::optional<Plateau> plateau_;
};

}  // namespace lockstep
