// The size of a gradient and whether it can be used, in one pass; and what follows from it for the optimizer's step.
#pragma once

#include <cstdint>

#include "kernels/FlatWork.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep::kernels {

struct GradientNorm {
  double sum_of_squares = 0;    ///< in float64, whatever the gradient's type; not finite when an element is not
  std::int64_t non_finite = 0;  ///< how many elements are NaN or infinite
  std::int64_t segment = -1;    ///< the first that holds such an element; -1: none does
};

/// Over the segments that are not skipped.
template <typename Real>
struct GradientNormPass {
  const Real* gradients;
  FlatWork work;
  GradientNorm* workspace;  ///< [work.piece_count]
  GradientNorm* norm;
};

/// For Real in float, double. The order of additions depends on the pieces alone, so the result is the same to the bit
/// for any number of threads or blocks, and the CPU form's on any x86-64 machine.
template <typename Real>
void gradient_norm(const GradientNormPass<Real>& args);
template <typename Real>
void gradient_norm(const GradientNormPass<Real>& args, Stream stream);

/// What to multiply gradients of this norm by so that it is at most `clip_norm`: as torch.nn.utils.clip_grad_norm_
/// (PyTorch 2.11).
constexpr double clip_scale(double norm, double clip_norm) {
  const double scale = clip_norm / (norm + 1e-6);
  return scale < 1 ? scale : 1;
}

struct GradientClip {
  const GradientNorm* norm;  ///< of the gradients as they are
  const double* unscale;     ///< what turns them into the loss's gradients (1 / loss scale), or nullptr: they are
  double clip_norm;          ///< of the loss's gradients; 0: no clipping
  FlatStep* step;
};

/// Sets step->gradient_scale = unscale · clip_scale(√Σg² · unscale, clip_norm), and step->skip when a gradient is not
/// finite.
void clip_gradients(const GradientClip& args);
void clip_gradients(const GradientClip& args, Stream stream);

}  // namespace lockstep::kernels
