// The two passes of Muon (Jordan 2024), between which each matrix's direction is made orthogonal, in the form of
// torch.optim.Muon (PyTorch 2.11); lr = learning_rate · segment.learning_rate_factor:
//   g = gradient · gradient_scale
//   m = m + (1 - momentum)(g - m)
//   u = g + momentum (m - g)     (Nesterov), else u = m
//   o = orthogonal(u) · √max(1, rows / columns)
//   p = p · (1 - lr · weight_decay) - lr · o
#pragma once

#include "kernels/flat_update/FlatUpdate.h"

namespace lockstep::kernels {

struct MuonOptions {
  double momentum = 0.95;
  bool nesterov = true;
};

/// From gradients to directions: u takes the place of `parameters`.
template <typename Real>
struct MuonMomentum {
  using Number = Real;
  using Options = MuonOptions;
  static constexpr int kStates = 1;  ///< m

  Real gradient_scale, momentum, one_minus_momentum;
  bool nesterov;

  static constexpr MuonMomentum of(const Options& options, const Segment&, const FlatStep& step) {
    return {.gradient_scale = static_cast<Real>(step.gradient_scale),
            .momentum = static_cast<Real>(options.momentum),
            .one_minus_momentum = static_cast<Real>(1 - options.momentum),
            .nesterov = options.nesterov};
  }
  constexpr void operator()(Real& u, Real unscaled, Real& m) const {
    const Real g = unscaled * gradient_scale;
    m = interpolate(m, g, one_minus_momentum);
    u = nesterov ? interpolate(g, m, momentum) : m;
  }
};

struct MuonStepOptions {};

/// From directions to parameters: o takes the place of `gradients`.
template <typename Real>
struct MuonStep {
  using Number = Real;
  using Options = MuonStepOptions;
  static constexpr int kStates = 0;

  Real rate, decay;

  static constexpr MuonStep of(const Options&, const Segment& segment, const FlatStep& step) {
    const double rate = step.learning_rate * segment.learning_rate_factor;
    return {.rate = static_cast<Real>(rate), .decay = static_cast<Real>(1 - rate * segment.weight_decay)};
  }
  constexpr void operator()(Real& p, Real o) const { p = p * decay - rate * o; }
};

}  // namespace lockstep::kernels
