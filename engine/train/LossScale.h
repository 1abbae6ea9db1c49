// Keeps fp16 gradients from vanishing.
#pragma once

#include <cstdint>

namespace lockstep {

/// What the loss is multiplied by before backward, and gradients are divided by before they are used. It halves when
/// they overflow and doubles after `growth_interval` steps in a row in which they do not: the rule of
/// torch.amp.GradScaler (PyTorch 2.11). A value; every rank holds the same one and updates it alike.
class LossScale {
 public:
  LossScale(double initial, std::int64_t growth_interval) : value_(initial), growth_interval_(growth_interval) {}

  double value() const { return value_; }
  /// Steps that overflowed: their gradients are not used.
  std::int64_t overflows() const { return overflows_; }

  /// After every step.
  void update(bool overflow) {
    if (overflow) {
      value_ /= 2;
      steps_since_change_ = 0;
      ++overflows_;
    } else if (++steps_since_change_ == growth_interval_) {
      value_ *= 2;
      steps_since_change_ = 0;
    }
  }

 private:
  double value_;
  std::int64_t growth_interval_;
  std::int64_t steps_since_change_ = 0;
  std::int64_t overflows_ = 0;
};

}  // namespace lockstep
