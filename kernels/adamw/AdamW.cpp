#include "kernels/adamw/AdamW.h"

#include <cmath>

#include "kernels/FlatLoop.h"

namespace lockstep::kernels {

namespace {

template <typename Real>
struct Factors {
  Real decay, gradient_scale, one_minus_beta1, beta2, one_minus_beta2, step_size, root_correction, epsilon;
};

template <typename Real>
[[gnu::always_inline]] inline void step(Real* __restrict p, const Real* __restrict g, Real* __restrict m,
                                        Real* __restrict v, std::int64_t n, const Factors<Real>& f) {
  for (std::int64_t i = 0; i < n; ++i) {
    const Real gradient = g[i] * f.gradient_scale;
    m[i] += f.one_minus_beta1 * (gradient - m[i]);
    v[i] = f.beta2 * v[i] + f.one_minus_beta2 * gradient * gradient;
    p[i] = p[i] * f.decay - f.step_size * m[i] / (std::sqrt(v[i]) / f.root_correction + f.epsilon);
  }
}

LOCKSTEP_MULTIVERSION void update(float* p, const float* g, float* m, float* v, std::int64_t n, Factors<float> f) {
  step(p, g, m, v, n, f);
}

LOCKSTEP_MULTIVERSION void update(double* p, const double* g, double* m, double* v, std::int64_t n, Factors<double> f) {
  step(p, g, m, v, n, f);
}

template <typename Real>
void run(std::span<Real> parameters, std::span<const Real> gradients, std::span<Real> first_moment,
         std::span<Real> second_moment, std::span<const Segment> segments, const AdamWOptions& options) {
  for_each_piece(pieces_of(segments), [&](std::size_t, const Piece& piece) {
    const Segment& segment = *piece.segment;
    const double learning_rate = options.learning_rate * segment.learning_rate_factor;
    const auto steps = static_cast<double>(segment.step);
    const Factors<Real> factors = {.decay = static_cast<Real>(1 - learning_rate * segment.weight_decay),
                                   .gradient_scale = static_cast<Real>(options.gradient_scale),
                                   .one_minus_beta1 = static_cast<Real>(1 - options.beta1),
                                   .beta2 = static_cast<Real>(options.beta2),
                                   .one_minus_beta2 = static_cast<Real>(1 - options.beta2),
                                   .step_size = static_cast<Real>(learning_rate / (1 - std::pow(options.beta1, steps))),
                                   .root_correction = static_cast<Real>(std::sqrt(1 - std::pow(options.beta2, steps))),
                                   .epsilon = static_cast<Real>(options.epsilon)};
    update(parameters.data() + piece.begin, gradients.data() + piece.begin, first_moment.data() + piece.begin,
           second_moment.data() + piece.begin, piece.length, factors);
  });
}

}  // namespace

void adamw(std::span<float> parameters, std::span<const float> gradients, std::span<float> first_moment,
           std::span<float> second_moment, std::span<const Segment> segments, const AdamWOptions& options) {
  run(parameters, gradients, first_moment, second_moment, segments, options);
}

void adamw(std::span<double> parameters, std::span<const double> gradients, std::span<double> first_moment,
           std::span<double> second_moment, std::span<const Segment> segments, const AdamWOptions& options) {
  run(parameters, gradients, first_moment, second_moment, segments, options);
}

}  // namespace lockstep::kernels
