// Lion (Chen et al. 2023, arXiv 2302.06675, algorithm 2), with decoupled weight decay; lr = learning_rate ·
// segment.learning_rate_factor:
//   g = gradient · gradient_scale
//   p = p - lr · (sign(β₁ m + (1 - β₁) g) + weight_decay · p)
//   m = β₂ m + (1 - β₂) g
#pragma once

#include "kernels/Segment.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep::kernels {

struct LionOptions {
  double beta1 = 0.9;
  double beta2 = 0.99;
};

template <typename Real>
struct Lion {
  using Number = Real;
  using Options = LionOptions;
  static constexpr int kStates = 1;  ///< m

  Real rate, gradient_scale, weight_decay, beta1, one_minus_beta1, beta2, one_minus_beta2;

  static constexpr Lion of(const Options& options, const Segment& segment, const FlatStep& step) {
    return {.rate = static_cast<Real>(step.learning_rate * segment.learning_rate_factor),
            .gradient_scale = static_cast<Real>(step.gradient_scale),
            .weight_decay = static_cast<Real>(segment.weight_decay),
            .beta1 = static_cast<Real>(options.beta1),
            .one_minus_beta1 = static_cast<Real>(1 - options.beta1),
            .beta2 = static_cast<Real>(options.beta2),
            .one_minus_beta2 = static_cast<Real>(1 - options.beta2)};
  }
  constexpr void operator()(Real& p, Real unscaled, Real& m) const {
    const Real g = unscaled * gradient_scale;
    const Real direction = beta1 * m + one_minus_beta1 * g;
    const Real sign = static_cast<Real>(direction > 0 ? 1 : 0) - static_cast<Real>(direction < 0 ? 1 : 0);
    p -= rate * (sign + weight_decay * p);
    m = beta2 * m + one_minus_beta2 * g;
  }
};

}  // namespace lockstep::kernels
