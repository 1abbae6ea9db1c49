// A learning rate that falls when training gets no better.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace lockstep {

/// The rule of torch.optim.lr_scheduler.ReduceLROnPlateau (PyTorch 2.11) with threshold_mode "rel" and its eps: after
/// more than `patience` evaluations in a row that were not better than the best by `threshold` of it, the rate is
/// multiplied by `factor`, and the next `cooldown` evaluations are not counted. A metric that is no number is no
/// better. A value; every rank holds the same one and updates it alike.
class Plateau {
 public:
  struct Options {
    bool maximize = false;
    double factor = 0.1;
    double least = 0;  ///< the rate stays above it
    double threshold = 1e-4;
    std::int64_t patience = 10;
    std::int64_t cooldown = 0;
  };
  /// What changes from evaluation to evaluation.
  struct State {
    double rate = 0;
    double best = 0;                   ///< infinite at first
    std::int64_t bad_evaluations = 0;  ///< since the best, or since the last decay
    std::int64_t cooldown = 0;         ///< evaluations that are not to be counted
  };

  Plateau(double rate, const Options& options) : options_(options), state_{.rate = rate} {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    state_.best = options.maximize ? -kInfinity : kInfinity;
  }

  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }
  double rate() const { return state_.rate; }

  /// After every evaluation.
  void update(double metric) {
    constexpr double kLeastChange = 1e-8;
    const double bound = state_.best * (options_.maximize ? 1 + options_.threshold : 1 - options_.threshold);
    const bool better = options_.maximize ? metric > bound : metric < bound;
    if (better) state_.best = metric;
    state_.bad_evaluations = better ? 0 : state_.bad_evaluations + 1;
    if (state_.cooldown > 0) {
      --state_.cooldown;
      state_.bad_evaluations = 0;
    }
    if (state_.bad_evaluations <= options_.patience) return;
    const double lower = std::max(state_.rate * options_.factor, options_.least);
    if (state_.rate - lower > kLeastChange) state_.rate = lower;
    state_.cooldown = options_.cooldown;
    state_.bad_evaluations = 0;
  }

 private:
  Options options_;
  State state_;
};

}  // namespace lockstep
