// Stochastic gradient descent over a whole flat storage in one pass.
//
// Source of the formula: torch.optim.SGD (PyTorch 2.11) with dampening 0:
//   g = gradient · gradient_scale + weight_decay · p
//   m = momentum · m + g                 (with momentum)
//   p = p - lr · (g + momentum · m)      (Nesterov), p - lr · m (momentum), or p - lr · g
// With dampening 0 PyTorch's first buffer, a copy of g, equals this with m = 0.
#pragma once

#include <span>

#include "kernels/Segment.h"

namespace lockstep::kernels {

struct SgdOptions {
  double learning_rate = 0;
  double momentum = 0;
  bool nesterov = false;
  double gradient_scale = 1;  ///< multiplies every gradient first: clipping
};

/// Updates the segments of `parameters`; `gradients` and `momentum` have the same layout. `momentum` may be
/// empty when options.momentum is 0. Elements outside segments, and skipped segments, stay as they are. Does
/// not depend on the number of threads.
void sgd(std::span<float> parameters, std::span<const float> gradients, std::span<float> momentum,
         std::span<const Segment> segments, const SgdOptions& options);
void sgd(std::span<double> parameters, std::span<const double> gradients, std::span<double> momentum,
         std::span<const Segment> segments, const SgdOptions& options);

}  // namespace lockstep::kernels
