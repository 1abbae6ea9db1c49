#include "kernels/adamw/AdamW.h"

#include <cmath>

#include "kernels/FlatLoop.h"

namespace lockstep::kernels {

namespace {

template <typename Real>
LOCKSTEP_INLINE void step(Real* __restrict p, const Real* __restrict g, Real* __restrict m, Real* __restrict v,
                          std::int64_t n, const AdamFactors<Real>& f) {
  for (std::int64_t i = 0; i < n; ++i) {
    update_moments(g[i], m[i], v[i], f);
    p[i] = p[i] * f.decay - f.step_size * m[i] / (std::sqrt(v[i]) / f.root_correction + f.epsilon);
  }
}

LOCKSTEP_MULTIVERSION void update(float* p, const float* g, float* m, float* v, std::int64_t n, AdamFactors<float> f) {
  step(p, g, m, v, n, f);
}

LOCKSTEP_MULTIVERSION void update(double* p, const double* g, double* m, double* v, std::int64_t n,
                                  AdamFactors<double> f) {
  step(p, g, m, v, n, f);
}

}  // namespace

template <typename Real>
void adamw(const AdamWUpdate<Real>& args) {
  if (args.step->skip) return;
  for_each_piece(args.work, [&](std::int64_t, const Piece& piece, const Segment& segment) {
    update(args.parameters + piece.begin, args.gradients + piece.begin, args.first_moment + piece.state,
           args.second_moment + piece.state, piece.length,
           adam_factors<Real>(args.options, segment, args.step->learning_rate * segment.learning_rate_factor,
                              args.step->gradient_scale));
  });
}

template void adamw(const AdamWUpdate<float>&);
template void adamw(const AdamWUpdate<double>&);

}  // namespace lockstep::kernels
