// LAMB: Adam's direction, with a step length for each segment in proportion to the size of its parameters.
//
// Source of the formula: You et al. 2020, arXiv 1904.00962 v5, algorithm 2 with φ(z) = z and no bounds on the ratio;
// t = segment.step, lr = learning_rate · segment.learning_rate_factor:
//   g = gradient · gradient_scale
//   m = m + (1 - β₁)(g - m),  v = β₂ v + (1 - β₂) g²
//   u = m / (1 - β₁ᵗ) / (√v / √(1 - β₂ᵗ) + ε) + weight_decay · p     (moments are bias-corrected)
//   p = p - lr · ‖p‖ / ‖u‖ · u     (norms over the segment; the ratio is 1 where either is 0)
// A segment without weight decay has the ratio too.
// Two passes move 24 and 16 bytes of a float32 element, as the ratio needs all of a segment first: 40, where
// 28 would do if everything stayed in a cache between them.
#pragma once

#include "kernels/Adam.h"
#include "kernels/FlatWork.h"

namespace lockstep::kernels {

/// What the first pass leaves of a piece.
struct LambPiece {
  double parameters, update;  ///< Σp² and Σu²
};

/// What a pass leaves of a segment for the next.
struct LambSegment {
  std::int64_t first_piece, last_piece;  ///< the CUDA form's
  double trust_ratio;
};

/// All storages have the same layout.
template <typename Real>
struct LambUpdate {
  Real* parameters;
  const Real* gradients;
  Real* first_moment;   ///< m
  Real* second_moment;  ///< v
  FlatWork work;
  LambPiece* workspace;            ///< [work.piece_count]
  LambSegment* segment_workspace;  ///< [segment_count]
  std::int64_t segment_count;
  const FlatStep* step;
  AdamOptions options;
};

/// For Real in float, double; norms in float64. Elements outside segments, and skipped segments, stay as they are. Does
/// not depend on the number of threads or blocks.
template <typename Real>
void lamb(const LambUpdate<Real>& args);
template <typename Real>
void lamb(const LambUpdate<Real>& args, Stream stream);

/// ‖p‖ / ‖u‖ from the sums of squares.
template <typename Real>
constexpr Real trust_ratio(Real parameters, Real update) {
  return parameters > 0 && update > 0 ? std::sqrt(parameters) / std::sqrt(update) : 1;
}

}  // namespace lockstep::kernels
