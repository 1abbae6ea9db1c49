#include "kernels/gradient_norm/GradientNorm.h"

#include "kernels/FlatLoop.h"

namespace lockstep::kernels {

namespace {

constexpr int kLanes = 16;  // independent sums, so that the loop vectorises without reordering any of them

template <typename Real>
[[gnu::always_inline]] inline GradientNorm sum(const Real* g, std::int64_t n) {
  double squares[kLanes] = {};
  std::int64_t bad[kLanes] = {};
  const auto add = [&](int lane, Real value) {
    squares[lane] += static_cast<double>(value) * static_cast<double>(value);
    // value - value is NaN for NaN and infinities, and 0 for all else
    bad[lane] += (value - value) != Real(0) ? 1 : 0;
  };
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) add(lane, g[i + lane]);
  }
  for (int lane = 0; i < n; ++i, ++lane) add(lane, g[i]);
  GradientNorm total;
  for (int lane = 0; lane < kLanes; ++lane) {
    total.sum_of_squares += squares[lane];
    total.non_finite += bad[lane];
  }
  return total;
}

LOCKSTEP_MULTIVERSION GradientNorm piece_norm(const float* g, std::int64_t n) { return sum(g, n); }
LOCKSTEP_MULTIVERSION GradientNorm piece_norm(const double* g, std::int64_t n) { return sum(g, n); }

template <typename Real>
GradientNorm run(std::span<const Real> gradients, std::span<const Segment> segments) {
  const std::vector<Piece> pieces = pieces_of(segments);
  std::vector<GradientNorm> norms(pieces.size());
#pragma omp parallel for schedule(static) if (pieces.size() > 1)
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    norms[i] = piece_norm(gradients.data() + pieces[i].begin, pieces[i].length);
  }
  GradientNorm total;
  for (const GradientNorm& norm : norms) {
    total.sum_of_squares += norm.sum_of_squares;
    total.non_finite += norm.non_finite;
  }
  return total;
}

}  // namespace

GradientNorm gradient_norm(std::span<const float> gradients, std::span<const Segment> segments) {
  return run(gradients, segments);
}

GradientNorm gradient_norm(std::span<const double> gradients, std::span<const Segment> segments) {
  return run(gradients, segments);
}

}  // namespace lockstep::kernels
