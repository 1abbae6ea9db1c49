// Sums of squares in float64 that vectorise, in one order on every machine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/CpuElements.h"
#include "kernels/gradient_norm/GradientNorm.h"

namespace lockstep::kernels {

// Independent sums, side by side in vector registers: the compiler may not reorder additions, so the source
// does.
inline constexpr std::int64_t kSquareLanes = 32;

template <typename Real>
LOCKSTEP_INLINE GradientNorm sum_of_squares(const Real* values, std::int64_t n) {
  double squares[kSquareLanes] = {};
  const auto add = [&](const Real* from) __attribute__((always_inline)) {
    for (std::int64_t lane = 0; lane < kSquareLanes; ++lane) {
      const double value = from[lane];
      squares[lane] += value * value;
    }
  };
  const std::int64_t whole = n - n % kSquareLanes;
  for (std::int64_t i = 0; i < whole; i += kSquareLanes) add(values + i);
  Real rest[kSquareLanes] = {};
  std::copy(values + whole, values + n, rest);
  add(rest);
  GradientNorm total;
  for (const double square : squares) total.sum_of_squares += square;
  // What is not finite makes the sum so: there is nothing to count in the usual case.
  if (!std::isfinite(total.sum_of_squares)) {
    total.non_finite = std::count_if(values, values + n, [](Real value) { return !std::isfinite(value); });
  }
  return total;
}

}  // namespace lockstep::kernels
