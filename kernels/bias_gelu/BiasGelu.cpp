#include "kernels/bias_gelu/BiasGelu.h"

#include <cmath>
#include <numbers>

#include "kernels/CpuColumnSum.h"
#include "kernels/CpuElements.h"
#include "kernels/VectorMath.h"

namespace lockstep::kernels {

namespace {

/// GELU's factor of z, and its derivative with respect to z.
template <typename Real>
struct Value {
  Real factor, derivative;
};

// Φ(z) = erfc(-z / √2) / 2, and erfc(a) = t P(t) exp(-a²) with t = 1 / (1 + 0.42 a) for a ≥ 0. P is our own fit, over
// 0 ≤ a ≤ 10 to a relative 2.3e-9.
LOCKSTEP_INLINE Value<float> erf_gelu(float z) {
  const float t = 1 / fused(0.42F * std::numbers::sqrt2_v<float> / 2, std::abs(z), 1.0F);
  const float exponential = exp_up_to_88(-0.5F * z * z);
  float series = -0.041161198727175136F;
  series = fused(series, t, 0.2308401993619048F);
  series = fused(series, t, -0.48697478103984504F);
  series = fused(series, t, 0.4376130104134298F);
  series = fused(series, t, -0.1977316609317873F);
  series = fused(series, t, 0.21395888656301892F);
  series = fused(series, t, 0.1499596142930015F);
  series = fused(series, t, 0.21991251087816913F);
  series = fused(series, t, 0.23660997697743544F);
  series = fused(series, t, 0.2369734399335925F);
  const float tail = 0.5F * t * series * exponential;
  const float factor = z < 0 ? tail : 1 - tail;
  constexpr float kDensity = std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;
  return {factor, fused(z * kDensity, exponential, factor)};
}

LOCKSTEP_INLINE Value<double> erf_gelu(double z) {
  const double factor = 0.5 * std::erfc(-z / std::numbers::sqrt2);
  return {factor, factor + z * std::exp(-0.5 * z * z) * std::numbers::inv_sqrtpi / std::numbers::sqrt2};
}

// (1 + tanh u) / 2 = 1 / (1 + exp(-2u))
template <typename Real>
LOCKSTEP_INLINE Value<Real> tanh_gelu(Real z) {
  constexpr Real kTwiceRoot = 2 * std::numbers::sqrt2_v<Real> * std::numbers::inv_sqrtpi_v<Real>;
  constexpr auto kCubic = static_cast<Real>(0.044715);
  const Real factor = 1 / (1 + exp_of(-kTwiceRoot * (z + kCubic * z * z * z)));
  return {factor, factor + z * factor * (1 - factor) * kTwiceRoot * (1 + 3 * kCubic * z * z)};
}

template <Gelu kForm, typename Real>
LOCKSTEP_INLINE Value<Real> gelu(Real z) {
  if constexpr (kForm == Gelu::kErf) return erf_gelu(z);
  return tanh_gelu(z);
}

template <Gelu kForm, typename Element>
LOCKSTEP_INLINE void forward(const Element* x, const Arithmetic<Element>* bias, Element* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const Arithmetic<Element> z = to_arithmetic(x[i]) + (bias != nullptr ? bias[i] : 0);
    y[i] = from_arithmetic<Element>(z * gelu<kForm>(z).factor);
  }
}

template <Gelu kForm, typename Element>
LOCKSTEP_INLINE void backward(const Element* dy, const Element* x, const Arithmetic<Element>* bias, Element* dx,
                              Arithmetic<Element>* sums, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const Arithmetic<Element> z = to_arithmetic(x[i]) + (bias != nullptr ? bias[i] : 0);
    const Arithmetic<Element> gradient = to_arithmetic(dy[i]) * gelu<kForm>(z).derivative;
    dx[i] = from_arithmetic<Element>(gradient);
    if (sums != nullptr) sums[i] += gradient;
  }
}

#define LOCKSTEP_ROW(Element)                                                                                   \
  LOCKSTEP_MULTIVERSION void forward_row(const Element* x, const Arithmetic<Element>* bias, Element* y,         \
                                         std::int64_t n, Gelu form) {                                           \
    form == Gelu::kErf ? forward<Gelu::kErf>(x, bias, y, n) : forward<Gelu::kTanh>(x, bias, y, n);              \
  }                                                                                                             \
  LOCKSTEP_MULTIVERSION void backward_row(const Element* dy, const Element* x, const Arithmetic<Element>* bias, \
                                          Element* dx, Arithmetic<Element>* sums, std::int64_t n, Gelu form) {  \
    form == Gelu::kErf ? backward<Gelu::kErf>(dy, x, bias, dx, sums, n)                                         \
                       : backward<Gelu::kTanh>(dy, x, bias, dx, sums, n);                                       \
  }
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_ROW)
#undef LOCKSTEP_ROW

}  // namespace

template <typename Element>
void bias_gelu(const BiasGeluForward<Element>& args) {
#pragma omp parallel for schedule(static) if (args.rows * args.columns > kSerialElements)
  for (std::int64_t row = 0; row < args.rows; ++row) {
    forward_row(args.x + row * args.columns, args.bias, args.y + row * args.columns, args.columns, args.form);
  }
}

template <typename Element>
void bias_gelu_backward(const BiasGeluBackward<Element>& args) {
  const std::int64_t columns = args.columns;
  for_each_row_chunk(args.rows, columns, [&](std::int64_t chunk, std::int64_t begin, std::int64_t end) {
    Arithmetic<Element>* sums = args.bias_gradient == nullptr ? nullptr : args.workspace + chunk * columns;
    if (sums != nullptr) std::fill_n(sums, columns, 0);
    for (std::int64_t row = begin; row < end; ++row) {
      backward_row(args.dy + row * columns, args.x + row * columns, args.bias, args.dx + row * columns, sums, columns,
                   args.form);
    }
  });
  if (args.bias_gradient != nullptr) sum_row_chunks(args.workspace, args.rows, columns, args.bias_gradient);
}

#define LOCKSTEP_INSTANTIATE(Element)                       \
  template void bias_gelu(const BiasGeluForward<Element>&); \
  template void bias_gelu_backward(const BiasGeluBackward<Element>&);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels
