// Keeps fp16 gradients from vanishing.
#pragma once

#include <cstdint>

namespace lockstep {

/// What the loss is multiplied by before backward, and gradients are divided by before they are used. It halves when
/// they overflow and doubles after `growth_interval` steps in a row in which they do not: the rule of
/// torch.amp.GradScaler (PyTorch 2.11). A value; every rank holds the same one and updates it alike.
class LossScale {
 public:
  /// What changes from step to step.
  struct State {
    double value = 1;
    std::int64_t steps_since_change = 0;
    std::int64_t overflows = 0;
  };

  LossScale(double initial, std::int64_t growth_interval) : LossScale({.value = initial}, growth_interval) {}
  LossScale(const State& state, std::int64_t growth_interval) : state_(state), growth_interval_(growth_interval) {}

  const State& state() const { return state_; }
  double value() const { return state_.value; }
  /// Steps that overflowed: their gradients are not used.
  std::int64_t overflows() const { return state_.overflows; }

  /// After every step.
  void update(bool overflow) {
    if (overflow) {
      state_.value /= 2;
      state_.steps_since_change = 0;
      ++state_.overflows;
    } else if (++state_.steps_since_change == growth_interval_) {
      state_.value *= 2;
      state_.steps_since_change = 0;
    }
  }

 private:
  State state_;
  std::int64_t growth_interval_;
};

}  // namespace lockstep
