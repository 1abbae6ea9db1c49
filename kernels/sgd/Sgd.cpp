#include "kernels/sgd/Sgd.h"

#include "kernels/FlatLoop.h"

namespace lockstep::kernels {

namespace {

template <typename Real>
struct Factors {
  Real learning_rate, momentum, weight_decay, gradient_scale;
};

template <typename Real>
[[gnu::always_inline]] inline void plain(Real* p, const Real* g, std::int64_t n, const Factors<Real>& f) {
  for (std::int64_t i = 0; i < n; ++i) {
    const Real gradient = g[i] * f.gradient_scale + f.weight_decay * p[i];
    p[i] -= f.learning_rate * gradient;
  }
}

template <typename Real, bool kNesterov>
[[gnu::always_inline]] inline void with_momentum(Real* __restrict p, const Real* __restrict g, Real* __restrict m,
                                                 std::int64_t n, const Factors<Real>& f) {
  for (std::int64_t i = 0; i < n; ++i) {
    const Real gradient = g[i] * f.gradient_scale + f.weight_decay * p[i];
    m[i] = f.momentum * m[i] + gradient;
    p[i] -= f.learning_rate * (kNesterov ? gradient + f.momentum * m[i] : m[i]);
  }
}

LOCKSTEP_MULTIVERSION void update(float* p, const float* g, float* m, std::int64_t n, Factors<float> f, bool nesterov) {
  if (m == nullptr) return plain(p, g, n, f);
  nesterov ? with_momentum<float, true>(p, g, m, n, f) : with_momentum<float, false>(p, g, m, n, f);
}

LOCKSTEP_MULTIVERSION void update(double* p, const double* g, double* m, std::int64_t n, Factors<double> f,
                                  bool nesterov) {
  if (m == nullptr) return plain(p, g, n, f);
  nesterov ? with_momentum<double, true>(p, g, m, n, f) : with_momentum<double, false>(p, g, m, n, f);
}

}  // namespace

template <typename Real>
void sgd(const SgdUpdate<Real>& args) {
  if (args.step->skip) return;
  for_each_piece(args.work, [&](std::int64_t, const Piece& piece, const Segment& segment) {
    const Factors<Real> factors = {
        .learning_rate = static_cast<Real>(args.step->learning_rate * segment.learning_rate_factor),
        .momentum = static_cast<Real>(args.momentum),
        .weight_decay = static_cast<Real>(segment.weight_decay),
        .gradient_scale = static_cast<Real>(args.step->gradient_scale)};
    update(args.parameters + piece.begin, args.gradients + piece.begin,
           args.momentum == 0 ? nullptr : args.velocity + piece.state, piece.length, factors, args.nesterov);
  });
}

template void sgd(const SgdUpdate<float>&);
template void sgd(const SgdUpdate<double>&);

}  // namespace lockstep::kernels
