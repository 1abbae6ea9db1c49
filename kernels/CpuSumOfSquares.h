// Sums of squares in float64 that vectorise, in one order on every machine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/CpuElements.h"
#include "kernels/gradient_norm/GradientNorm.h"

namespace lockstep::kernels {

// Independent sums, side by side in vector registers: the compiler may not reorder additions, so the source
// does.
inline constexpr std::int64_t kSquareLanes = 8;
inline constexpr std::int64_t kSquareVectors = 4;
template <typename Element>
using SquareLanes [[gnu::vector_size(kSquareLanes * sizeof(Element))]] = Element;

template <typename Real>
LOCKSTEP_INLINE GradientNorm sum_of_squares(const Real* values, std::int64_t n) {
  SquareLanes<double> squares[kSquareVectors] = {};
  SquareLanes<std::int64_t> non_finite[kSquareVectors] = {};
  const auto add = [&](const Real* from) __attribute__((always_inline)) {
    for (int i = 0; i < kSquareVectors; ++i) {
      SquareLanes<Real> raw;
      std::memcpy(&raw, from + i * kSquareLanes, sizeof raw);
      const SquareLanes<double> value = __builtin_convertvector(raw, SquareLanes<double>);
      squares[i] += value * value;
      // value · 0 is 0 but for NaN and infinities; a comparison that holds is -1.
      non_finite[i] -= (value * 0.0) != 0.0;
    }
  };
  constexpr std::int64_t kBlock = kSquareLanes * kSquareVectors;
  const std::int64_t whole = n - n % kBlock;
  for (std::int64_t i = 0; i < whole; i += kBlock) add(values + i);
  Real rest[kBlock] = {};
  std::copy(values + whole, values + n, rest);
  add(rest);
  GradientNorm total;
  for (int i = 0; i < kSquareVectors; ++i) {
    for (int lane = 0; lane < kSquareLanes; ++lane) {
      total.sum_of_squares += squares[i][lane];
      total.non_finite += non_finite[i][lane];
    }
  }
  return total;
}

}  // namespace lockstep::kernels
