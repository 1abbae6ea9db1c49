// Adagrad (Duchi et al. 2011) in the form of torch.optim.Adagrad (PyTorch 2.11) with lr_decay and
// initial_accumulator_value 0; lr = learning_rate · segment.learning_rate_factor:
//   g = gradient · gradient_scale + weight_decay · p
//   s = s + g²,  p = p - lr · g / (√s + ε)
#pragma once

#include <cmath>

#include "kernels/Segment.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep::kernels {

struct AdagradOptions {
  double epsilon = 1e-10;
};

template <typename Real>
struct Adagrad {
  using Number = Real;
  using Options = AdagradOptions;
  static constexpr int kStates = 1;  ///< s

  Real rate, gradient_scale, weight_decay, epsilon;

  static constexpr Adagrad of(const Options& options, const Segment& segment, const FlatStep& step) {
    return {.rate = static_cast<Real>(step.learning_rate * segment.learning_rate_factor),
            .gradient_scale = static_cast<Real>(step.gradient_scale),
            .weight_decay = static_cast<Real>(segment.weight_decay),
            .epsilon = static_cast<Real>(options.epsilon)};
  }
  constexpr void operator()(Real& p, Real unscaled, Real& s) const {
    const Real g = unscaled * gradient_scale + weight_decay * p;
    s += g * g;
    p -= rate * g / (std::sqrt(s) + epsilon);
  }
};

}  // namespace lockstep::kernels
