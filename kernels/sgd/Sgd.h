// Stochastic gradient descent over a whole flat storage in one pass.
//
// Source of the formula: torch.optim.SGD (PyTorch 2.11) with dampening 0:
//   g = gradient · gradient_scale + weight_decay · p
//   m = momentum · m + g                 (with momentum)
//   p = p - lr · (g + momentum · m)      (Nesterov), p - lr · m (momentum), or p - lr · g
// With dampening 0 PyTorch's first buffer, a copy of g, equals this with m = 0.
// With momentum it reads three numbers of an element and writes two, 20 bytes in float32, else 12: no kernel can do
// with fewer.
#pragma once

#include "kernels/FlatWork.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep::kernels {

/// Parameters and gradients have one layout; of the state a piece says where its own begins.
template <typename Real>
struct SgdUpdate {
  Real* parameters;
  const Real* gradients;
  Real* velocity;  ///< m; not read when momentum is 0
  FlatWork work;
  const FlatStep* step;
  double momentum = 0;
  bool nesterov = false;
};

/// For Real in float, double. Elements outside segments, and skipped segments, stay as they are. Does not depend on the
/// number of threads or blocks.
template <typename Real>
void sgd(const SgdUpdate<Real>& args);
template <typename Real>
void sgd(const SgdUpdate<Real>& args, Stream stream);

}  // namespace lockstep::kernels
