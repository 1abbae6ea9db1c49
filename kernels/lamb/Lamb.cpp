#include "kernels/lamb/Lamb.h"

#include <cmath>

#include "kernels/CpuSumOfSquares.h"
#include "kernels/FlatLoop.h"

namespace lockstep::kernels {

namespace {

// Both passes compute it, so that it need not be stored.
template <typename Real>
LOCKSTEP_INLINE Real direction(Real p, Real m, Real v, const AdamFactors<Real>& f, Real weight_decay) {
  return f.step_size * m / (std::sqrt(v) / f.root_correction + f.epsilon) + weight_decay * p;
}

template <typename Real>
LOCKSTEP_INLINE LambPiece moments(const Real* __restrict p, const Real* __restrict g, Real* __restrict m,
                                  Real* __restrict v, std::int64_t n, const AdamFactors<Real>& f, Real weight_decay) {
  constexpr std::int64_t kStrip = 512;
  Real updates[kStrip];
  LambPiece sums{};
  for (std::int64_t begin = 0; begin < n; begin += kStrip) {
    const std::int64_t length = std::min(kStrip, n - begin);
    for (std::int64_t i = 0; i < length; ++i) {
      const std::int64_t at = begin + i;
      update_moments(g[at], m[at], v[at], f);
      updates[i] = direction(p[at], m[at], v[at], f, weight_decay);
    }
    sums.parameters += sum_of_squares(p + begin, length).sum_of_squares;
    sums.update += sum_of_squares(updates, length).sum_of_squares;
  }
  return sums;
}

template <typename Real>
LOCKSTEP_INLINE void apply(Real* __restrict p, const Real* __restrict m, const Real* __restrict v, std::int64_t n,
                           const AdamFactors<Real>& f, Real weight_decay, Real rate) {
  for (std::int64_t i = 0; i < n; ++i) p[i] -= rate * direction(p[i], m[i], v[i], f, weight_decay);
}

#define LOCKSTEP_PASSES(Real)                                                                                        \
  LOCKSTEP_MULTIVERSION LambPiece first_pass(const Real* p, const Real* g, Real* m, Real* v, std::int64_t n,         \
                                             AdamFactors<Real> f, Real weight_decay) {                               \
    return moments(p, g, m, v, n, f, weight_decay);                                                                  \
  }                                                                                                                  \
  LOCKSTEP_MULTIVERSION void second_pass(Real* p, const Real* m, const Real* v, std::int64_t n, AdamFactors<Real> f, \
                                         Real weight_decay, Real rate) {                                             \
    apply(p, m, v, n, f, weight_decay, rate);                                                                        \
  }
LOCKSTEP_PASSES(float)
LOCKSTEP_PASSES(double)
#undef LOCKSTEP_PASSES

void set_trust_ratios(const FlatWork& work, const LambPiece* parts, LambSegment* segments) {
  for (std::int64_t first = 0, end = 0; first < work.piece_count; first = end) {
    LambPiece sums{};
    const std::int32_t segment = work.pieces[first].segment;
    for (; end < work.piece_count && work.pieces[end].segment == segment; ++end) {
      sums.parameters += parts[end].parameters;
      sums.update += parts[end].update;
    }
    segments[segment].trust_ratio = trust_ratio(sums.parameters, sums.update);
  }
}

}  // namespace

template <typename Real>
void lamb(const LambUpdate<Real>& args) {
  const FlatStep& step = *args.step;
  if (step.skip) return;
  for_each_piece(args.work, [&](std::int64_t i, const Piece& piece, const Segment& segment) {
    args.workspace[i] = first_pass(args.parameters + piece.begin, args.gradients + piece.begin,
                                   args.first_moment + piece.begin, args.second_moment + piece.begin, piece.length,
                                   adam_factors<Real>(args.options, segment, 1, step.gradient_scale),
                                   static_cast<Real>(segment.weight_decay));
  });
  set_trust_ratios(args.work, args.workspace, args.segment_workspace);
  for_each_piece(args.work, [&](std::int64_t, const Piece& piece, const Segment& segment) {
    const double rate =
        step.learning_rate * segment.learning_rate_factor * args.segment_workspace[piece.segment].trust_ratio;
    second_pass(args.parameters + piece.begin, args.first_moment + piece.begin, args.second_moment + piece.begin,
                piece.length, adam_factors<Real>(args.options, segment, 1, step.gradient_scale),
                static_cast<Real>(segment.weight_decay), static_cast<Real>(rate));
  });
}

template void lamb(const LambUpdate<float>&);
template void lamb(const LambUpdate<double>&);

}  // namespace lockstep::kernels
