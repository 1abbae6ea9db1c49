// What AdamW and LAMB share: the constants of Adam's moments (Kingma and Ba 2015), and what follows from them for one
// segment in one step. CPU and CUDA forms alike.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/Segment.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep::kernels {

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

/// base^exponent by squaring: a GPU takes long for std::pow in float64, and no library's last bit differs from
/// another's.
constexpr double power(double base, std::int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result *= base;
    base *= base;
  }
  return result;
}

/// With t = segment.step: decay = 1 - rate · weight_decay, step_size = rate / (1 - β₁ᵗ), root_correction = √(1 - β₂ᵗ).
template <typename Real>
struct AdamFactors {
  Real decay, gradient_scale, one_minus_beta1, beta2, one_minus_beta2, step_size, root_correction, epsilon;
};

template <typename Real>
constexpr AdamFactors<Real> adam_factors(const AdamOptions& options, const Segment& segment, double rate,
                                         double gradient_scale) {
  return {.decay = static_cast<Real>(1 - rate * segment.weight_decay),
          .gradient_scale = static_cast<Real>(gradient_scale),
          .one_minus_beta1 = static_cast<Real>(1 - options.beta1),
          .beta2 = static_cast<Real>(options.beta2),
          .one_minus_beta2 = static_cast<Real>(1 - options.beta2),
          .step_size = static_cast<Real>(rate / (1 - power(options.beta1, segment.step))),
          .root_correction = static_cast<Real>(std::sqrt(1 - power(options.beta2, segment.step))),
          .epsilon = static_cast<Real>(options.epsilon)};
}

/// Takes the gradient of one parameter into its two moments.
template <typename Real>
constexpr void update_moments(Real unscaled, Real& m, Real& v, const AdamFactors<Real>& f) {
  const Real gradient = unscaled * f.gradient_scale;
  m += f.one_minus_beta1 * (gradient - m);
  v = f.beta2 * v + f.one_minus_beta2 * gradient * gradient;
}

}  // namespace lockstep::kernels
