// Adam (Kingma and Ba 2015) in the form of torch.optim.Adam (PyTorch 2.11), whose weight decay is part of the gradient;
// t = segment.step, lr = learning_rate · segment.learning_rate_factor:
//   g = gradient · gradient_scale + weight_decay · p
//   m = m + (1 - β₁)(g - m),  v = β₂ v + (1 - β₂) g²
//   p = p - lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)
#pragma once

#include "kernels/Adam.h"

namespace lockstep::kernels {

template <typename Real>
struct Adam {
  using Number = Real;
  using Options = AdamOptions;
  static constexpr int kStates = 2;  ///< m, v

  AdamFactors<Real> factors;
  Real gradient_scale, weight_decay;

  static constexpr Adam of(const Options& options, const Segment& segment, const FlatStep& step) {
    return {.factors = adam_factors<Real>(options, segment, step.learning_rate * segment.learning_rate_factor, 1),
            .gradient_scale = static_cast<Real>(step.gradient_scale),
            .weight_decay = static_cast<Real>(segment.weight_decay)};
  }
  constexpr void operator()(Real& p, Real g, Real& m, Real& v) const {
    update_moments(g * gradient_scale + weight_decay * p, m, v, factors);
    p -= factors.step_size * m / (std::sqrt(v) / factors.root_correction + factors.epsilon);
  }
};

}  // namespace lockstep::kernels
