// Adam with decoupled weight decay over a whole flat storage in one pass.
//
// Source of the formula: Loshchilov and Hutter 2019, in the form of torch.optim.AdamW (PyTorch 2.11), t =
// segment.step:
//   g = gradient · gradient_scale
//   p = p · (1 - lr · weight_decay)
//   m = m + (1 - β₁)(g - m),  v = β₂ v + (1 - β₂) g²
//   p = p - lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)
#pragma once

#include <span>

#include "kernels/Segment.h"

namespace lockstep::kernels {

struct AdamWOptions {
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double gradient_scale = 1;  ///< multiplies every gradient first: clipping
};

/// Updates the segments of `parameters` and of the two moments; all four have the same layout. Elements
/// outside segments, and skipped segments, stay as they are. Does not depend on the number of threads.
void adamw(std::span<float> parameters, std::span<const float> gradients, std::span<float> first_moment,
           std::span<float> second_moment, std::span<const Segment> segments, const AdamWOptions& options);
void adamw(std::span<double> parameters, std::span<const double> gradients, std::span<double> first_moment,
           std::span<double> second_moment, std::span<const Segment> segments, const AdamWOptions& options);

}  // namespace lockstep::kernels
