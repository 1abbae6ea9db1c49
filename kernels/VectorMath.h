// exp for loops that the compiler vectorises, with the same bits on every machine. Not erf: see bias_gelu. Where a
// product and a sum are one operation the source says so, fused(), and the compiler makes no others
// (-ffp-contract=off).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/CpuElements.h"

namespace lockstep::kernels {

/// a · b + c, rounded once: an instruction of x86-64-v3 and of ARM, and slow on processors that have none.
LOCKSTEP_INLINE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

/// eˣ = eʳ · 2ⁿ with |r| ≤ ln 2 / 2: n, and the Taylor series of eʳ (Cody and Waite 1980, chapter 6).
struct ReducedExp {
  float series;
  std::int32_t n;
};

LOCKSTEP_INLINE ReducedExp reduced_exp(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 · 2²³: adding and subtracting it rounds to a whole number
  const float n = fused(x, 1.44269504088896341F, kRound) - kRound;
  const float r = fused(n, 2.12194440e-4F, fused(n, -0.693359375F, x));
  float series = 1.0F / 5040;
  series = fused(series, r, 1.0F / 720);
  series = fused(series, r, 1.0F / 120);
  series = fused(series, r, 1.0F / 24);
  series = fused(series, r, 1.0F / 6);
  series = fused(series, r, 0.5F);
  series = fused(series, r, 1.0F);
  series = fused(series, r, 1.0F);
  return {series, static_cast<std::int32_t>(n)};
}

LOCKSTEP_INLINE float power_of_two(std::int32_t exponent) { return std::bit_cast<float>((exponent + 127) << 23); }

inline constexpr float kLeastExponent = -87.33654F;  // below, float32 becomes subnormal

/// eˣ to 2 units in the last place for x ≤ 88, as differences to a maximum are: 0 below kLeastExponent; NaN for NaN.
LOCKSTEP_INLINE float exp_up_to_88(float x) {
  const ReducedExp reduced = reduced_exp(x > kLeastExponent ? x : kLeastExponent);  // no integer can be made of NaN
  const float value = reduced.series * power_of_two(reduced.n);
  return x >= kLeastExponent ? value : (x != x ? x : 0.0F);
}

/// The same for any x: infinite above 88.7.
LOCKSTEP_INLINE float exp_of(float x) {
  const float above = x > kLeastExponent ? x : kLeastExponent;
  const ReducedExp reduced = reduced_exp(above < 88.7F ? above : 88.7F);
  const std::int32_t half = reduced.n >> 1;  // in two factors: 2¹²⁸ is not a float32
  const float value = reduced.series * power_of_two(half) * power_of_two(reduced.n - half);
  const float bounded = x > 88.72284F ? INFINITY : (x < kLeastExponent ? 0.0F : value);
  return x != x ? x : bounded;
}

LOCKSTEP_INLINE double exp_of(double x) { return std::exp(x); }
LOCKSTEP_INLINE double exp_up_to_88(double x) { return std::exp(x); }

}  // namespace lockstep::kernels
