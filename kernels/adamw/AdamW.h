// Adam with decoupled weight decay over a whole flat storage in one pass.
//
// Source of the formula: Loshchilov and Hutter 2019, in the form of torch.optim.AdamW (PyTorch 2.11), t =
// segment.step:
//   g = gradient · gradient_scale
//   p = p · (1 - lr · weight_decay)
//   m = m + (1 - β₁)(g - m),  v = β₂ v + (1 - β₂) g²
//   p = p - lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)
// It reads four numbers of an element and writes three: 28 bytes in float32, and no kernel can do with fewer.
#pragma once

#include "kernels/Adam.h"
#include "kernels/FlatWork.h"

namespace lockstep::kernels {

/// Parameters and gradients have one layout; of the state a piece says where its own begins.
template <typename Real>
struct AdamWUpdate {
  Real* parameters;
  const Real* gradients;
  Real* first_moment;   ///< m
  Real* second_moment;  ///< v
  FlatWork work;
  const FlatStep* step;
  AdamOptions options;
};

/// For Real in float, double. Elements outside segments, and skipped segments, stay as they are. Does not depend on the
/// number of threads or blocks.
template <typename Real>
void adamw(const AdamWUpdate<Real>& args);
template <typename Real>
void adamw(const AdamWUpdate<Real>& args, Stream stream);

}  // namespace lockstep::kernels
