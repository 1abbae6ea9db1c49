#include "kernels/gradient_norm/GradientNorm.h"

#include <cmath>

#include "kernels/CpuSumOfSquares.h"
#include "kernels/FlatLoop.h"

namespace lockstep::kernels {

namespace {

LOCKSTEP_MULTIVERSION GradientNorm piece_norm(const float* g, std::int64_t n) { return sum_of_squares(g, n); }
LOCKSTEP_MULTIVERSION GradientNorm piece_norm(const double* g, std::int64_t n) { return sum_of_squares(g, n); }

}  // namespace

template <typename Real>
void gradient_norm(const GradientNormPass<Real>& args) {
  std::fill_n(args.workspace, args.work.piece_count, GradientNorm());
  for_each_piece(args.work, [&](std::int64_t i, const Piece& piece, const Segment&) {
    args.workspace[i] = piece_norm(args.gradients + piece.begin, piece.length);
  });
  GradientNorm total;
  for (std::int64_t i = 0; i < args.work.piece_count; ++i) {
    if (total.non_finite == 0 && args.workspace[i].non_finite > 0) total.segment = args.work.pieces[i].segment;
    total.sum_of_squares += args.workspace[i].sum_of_squares;
    total.non_finite += args.workspace[i].non_finite;
  }
  *args.norm = total;
}

template void gradient_norm(const GradientNormPass<float>&);
template void gradient_norm(const GradientNormPass<double>&);

void sum_norms(const NormSum& args) {
  GradientNorm sum;
  for (std::int64_t i = 0; i < args.count; ++i) add_norm(sum, args.parts[i]);
  *args.norm = sum;
}

void clip_gradients(const GradientClip& args) {
  const StepWeight weight = args.weight == nullptr ? StepWeight() : *args.weight;
  const double factor = (args.unscale == nullptr ? 1 : *args.unscale) * weight_correction(weight);
  const double norm = std::sqrt(args.norm->sum_of_squares) * factor;
  args.step->gradient_scale = args.clip_norm == 0 ? factor : factor * clip_scale(norm, args.clip_norm);
  const bool no_norm_to_clip_by = args.clip_norm > 0 && !std::isfinite(norm);
  args.step->skip = args.norm->non_finite > 0 || !(weight.actual > 0) || no_norm_to_clip_by || is_refused(args);
}

}  // namespace lockstep::kernels
