// RMSprop in the form of torch.optim.RMSprop (PyTorch 2.11), whose alpha is β₂ here; lr = learning_rate ·
// segment.learning_rate_factor:
//   g = gradient · gradient_scale + weight_decay · p
//   v = β₂ v + (1 - β₂) g²
//   a = a + (1 - β₂)(g - a),  d = √(v - a²) + ε     (centered), else d = √v + ε
//   m = momentum · m + g / d,  p = p - lr · m       (with momentum), else p = p - lr · g / d
#pragma once

#include <cmath>

#include "kernels/Segment.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep::kernels {

struct RmsPropOptions {
  double beta2 = 0.99;
  double epsilon = 1e-8;
  double momentum = 0;
};

/// Its states are v, then a when it is centered, then m with momentum.
template <typename Real, bool kCentered, bool kMomentum>
struct RmsProp {
  using Number = Real;
  using Options = RmsPropOptions;
  static constexpr int kStates = 1 + (kCentered ? 1 : 0) + (kMomentum ? 1 : 0);

  Real rate, gradient_scale, weight_decay, beta2, one_minus_beta2, epsilon, momentum;

  static constexpr RmsProp of(const Options& options, const Segment& segment, const FlatStep& step) {
    return {.rate = static_cast<Real>(step.learning_rate * segment.learning_rate_factor),
            .gradient_scale = static_cast<Real>(step.gradient_scale),
            .weight_decay = static_cast<Real>(segment.weight_decay),
            .beta2 = static_cast<Real>(options.beta2),
            .one_minus_beta2 = static_cast<Real>(1 - options.beta2),
            .epsilon = static_cast<Real>(options.epsilon),
            .momentum = static_cast<Real>(options.momentum)};
  }
  template <typename... Others>
  constexpr void operator()(Real& p, Real unscaled, Real& v, Others&... others) const {
    const Real g = unscaled * gradient_scale + weight_decay * p;
    v = beta2 * v + one_minus_beta2 * g * g;
    if constexpr (kCentered) {
      center(p, g, v, others...);
    } else {
      move(p, g / (std::sqrt(v) + epsilon), others...);
    }
  }

 private:
  template <typename... Others>
  constexpr void center(Real& p, Real g, Real v, Real& a, Others&... others) const {
    a += one_minus_beta2 * (g - a);
    const Real variance = v - a * a;
    move(p, g / (std::sqrt(variance > 0 ? variance : 0) + epsilon), others...);
  }
  constexpr void move(Real& p, Real direction) const { p -= rate * direction; }
  constexpr void move(Real& p, Real direction, Real& m) const {
    m = momentum * m + direction;
    p -= rate * m;
  }
};

template <typename Real>
using PlainRmsProp = RmsProp<Real, false, false>;
template <typename Real>
using CenteredRmsProp = RmsProp<Real, true, false>;
template <typename Real>
using MomentumRmsProp = RmsProp<Real, false, true>;
template <typename Real>
using CenteredMomentumRmsProp = RmsProp<Real, true, true>;

}  // namespace lockstep::kernels
