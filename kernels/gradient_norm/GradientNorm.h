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

/// A part of a gradient's norm joins what was found of the parts before it.
constexpr void add_norm(GradientNorm& sum, const GradientNorm& part) {
  sum.sum_of_squares += part.sum_of_squares;
  sum.non_finite += part.non_finite;
  if (part.segment >= 0 && (sum.segment < 0 || part.segment < sum.segment)) sum.segment = part.segment;
}

/// For Real in float, double. The order of additions depends on the pieces alone, so the result is the same to the bit
/// for any number of threads or blocks, and the CPU form's on any x86-64 machine.
template <typename Real>
void gradient_norm(const GradientNormPass<Real>& args);
template <typename Real>
void gradient_norm(const GradientNormPass<Real>& args, Stream stream);

/// The norms of parts of a gradient, which several ranks have found, each over a part of its own.
struct NormSum {
  const GradientNorm* parts;
  std::int64_t count;
  GradientNorm* norm;  ///< of the whole; none of the parts
};

/// In the order of the parts: the same bits wherever they are the same.
void sum_norms(const NormSum& args);
void sum_norms(const NormSum& args, Stream stream);

/// What to multiply gradients of this norm by so that it is at most `clip_norm`: as torch.nn.utils.clip_grad_norm_
/// (PyTorch 2.11).
constexpr double clip_scale(double norm, double clip_norm) {
  const double scale = clip_norm / (norm + 1e-6);
  return scale < 1 ? scale : 1;
}

/// How much the samples of a step count in its loss, beside what was expected when backward was scaled.
struct StepWeight {
  double actual = 1;   ///< ÷ expected
  double missing = 0;  ///< (expected - actual) ÷ expected, each sample's rounded by itself: 0 where nothing is missing
};

/// What gradients, and the loss, that were divided by the expected weight must be multiplied by: expected ÷ actual.
/// Exactly 1 where nothing is missing, though `actual` is a rounded sum; infinite or NaN where nothing counts.
constexpr double weight_correction(const StepWeight& weight) { return weight.missing == 0 ? 1 : 1 / weight.actual; }

struct GradientClip {
  const GradientNorm* norm;  ///< of the gradients as they are
  const double* unscale;     ///< what the loss was multiplied by is undone by this (1 / loss scale); nullptr: 1
  const StepWeight* weight;  ///< nullptr: what was expected
  double clip_norm;          ///< of the loss's gradients; 0: no clipping
  FlatStep* step;
  const double* loss = nullptr;   ///< must be finite, too; nullptr: is not asked
  const double* wrong = nullptr;  ///< must be 0, too; nullptr: is not asked
};

/// Whether what goes with the gradients says that they must not be used.
constexpr bool is_refused(const GradientClip& args) {
  // Not finite: the difference to itself is no 0.
  return (args.loss != nullptr && !(*args.loss - *args.loss == 0)) || (args.wrong != nullptr && *args.wrong != 0);
}

/// With f = unscale · weight_correction, sets step->gradient_scale = f · clip_scale(√Σg² · f, clip_norm), and
/// step->skip when a gradient is not finite, when nothing counts, when it is_refused, and when there is a norm to clip
/// by that is not finite: squares of finite float64 numbers may be infinite.
void clip_gradients(const GradientClip& args);
void clip_gradients(const GradientClip& args, Stream stream);

}  // namespace lockstep::kernels
