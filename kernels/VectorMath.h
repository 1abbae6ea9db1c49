// exp for loops that the compiler vectorises, with the same bits on every machine. Not erf: see bias_gelu.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/CpuElements.h"

namespace lockstep::kernels {

/// eˣ to 2 units in the last place: x = n ln 2 + r with |r| ≤ ln 2 / 2, the Taylor series of eʳ, and n into the
/// exponent (Cody and Waite 1980, chapter 6). 0 below -87.3, where float32 becomes subnormal; infinite above 88.7; NaN
/// for NaN.
LOCKSTEP_INLINE float exp_of(float x) {
  constexpr float kRound = 12582912.0F;         // 1.5 · 2²³: adding and subtracting it rounds to a whole number
  const float above = x > -87.3F ? x : -87.3F;  // also of NaN, which no integer can be made of
  const float clamped = above < 88.7F ? above : 88.7F;
  const float n = (clamped * 1.44269504088896341F + kRound) - kRound;
  const float r = (clamped - n * 0.693359375F) - n * -2.12194440e-4F;
  float series = 1.0F / 5040;
  series = series * r + 1.0F / 720;
  series = series * r + 1.0F / 120;
  series = series * r + 1.0F / 24;
  series = series * r + 1.0F / 6;
  series = series * r + 0.5F;
  series = series * r + 1.0F;
  series = series * r + 1.0F;
  // In two factors: 2¹²⁸ is not a float32.
  const auto exponent = static_cast<std::int32_t>(n);
  const std::int32_t half = exponent >> 1;
  const auto power = [](std::int32_t e) __attribute__((always_inline)) {
    return std::bit_cast<float>((e + 127) << 23);
  };
  const float value = series * power(half) * power(exponent - half);
  const float bounded = x > 88.72284F ? INFINITY : (x < -87.33654F ? 0.0F : value);
  return x != x ? x : bounded;
}

LOCKSTEP_INLINE double exp_of(double x) { return std::exp(x); }

}  // namespace lockstep::kernels
