#include "kernels/layer_norm/LayerNorm.h"

#include <array>
#include <cmath>

#include "kernels/CpuColumnSum.h"
#include "kernels/CpuElements.h"

namespace lockstep::kernels {

namespace {

// Independent sums, side by side in vector registers: the compiler may not reorder additions, so the source does.
template <typename Real>
inline constexpr std::int64_t kLanes = 64 / sizeof(Real);
constexpr std::int64_t kVectors = 2;
template <typename Real>
using Lanes [[gnu::vector_size(64)]] = Real;

/// Σ terms(i) over i < n, for kSums sums at once: `terms` gives an array.
template <typename Real, std::size_t kSums, typename Terms>
LOCKSTEP_INLINE std::array<Real, kSums> sums_over(std::int64_t n, const Terms& terms) {
  constexpr std::int64_t kBlock = kVectors * kLanes<Real>;
  Lanes<Real> sums[kSums][kVectors] = {};
  Real block[kSums][kBlock];
  const auto add = [&](std::int64_t begin, std::int64_t count) __attribute__((always_inline)) {
    for (std::int64_t lane = 0; lane < count; ++lane) {
      const std::array<Real, kSums> values = terms(begin + lane);
      for (std::size_t sum = 0; sum < kSums; ++sum) block[sum][lane] = values[sum];
    }
    for (std::size_t sum = 0; sum < kSums; ++sum) {
      for (std::int64_t vector = 0; vector < kVectors; ++vector) {
        Lanes<Real> values;
        __builtin_memcpy(&values, block[sum] + vector * kLanes<Real>, sizeof values);
        sums[sum][vector] += values;
      }
    }
  };
  const std::int64_t whole = n - n % kBlock;
  for (std::int64_t i = 0; i < whole; i += kBlock) add(i, kBlock);
  if (whole < n) {
    for (auto& each : block) std::fill_n(each, kBlock, Real(0));
    add(whole, n - whole);
  }
  std::array<Real, kSums> totals = {};
  for (std::size_t sum = 0; sum < kSums; ++sum) {
    for (std::int64_t vector = 1; vector < kVectors; ++vector) sums[sum][0] += sums[sum][vector];
    for (std::int64_t lane = 0; lane < kLanes<Real>; ++lane) totals[sum] += sums[sum][0][lane];
  }
  return totals;
}

/// A row's arguments begin at its first element.
template <typename Element>
LOCKSTEP_INLINE void forward(const LayerNormForward<Element>& row) {
  using Real = Arithmetic<Element>;
  const std::int64_t n = row.columns;
  const auto count = static_cast<Real>(n);
  const Element* s = row.x;
  if (row.residual != nullptr) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) {
      row.sum[i] = from_arithmetic<Element>(to_arithmetic(row.x[i]) + to_arithmetic(row.residual[i]));
    }
    s = row.sum;
  }
  const Real center =
      sums_over<Real, 1>(
          n, [&](std::int64_t i)
                 __attribute__((always_inline)) { return std::array<Real, 1>{to_arithmetic(s[i])}; })[0] /
      count;
  const auto moments = sums_over<Real, 2>(
      n, [&](std::int64_t i) __attribute__((always_inline)) {
        const Real difference = to_arithmetic(s[i]) - center;
        return std::array<Real, 2>{difference, difference * difference};
      });
  const Real shift = moments[0] / count;
  const Real variance = moments[1] / count - shift * shift;
  const Real rstd = 1 / std::sqrt((variance < 0 ? 0 : variance) + static_cast<Real>(row.epsilon));
  *row.mean = center + shift;
  *row.rstd = rstd;
  const Real* weight = row.weight;
  const Real* bias = row.bias;
  Element* y = row.y;
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    const Real normalised = (to_arithmetic(s[i]) - center - shift) * rstd;
    y[i] = from_arithmetic<Element>(normalised * (weight != nullptr ? weight[i] : 1) + (bias != nullptr ? bias[i] : 0));
  }
}

/// As in forward(). kAdds: whether there is a dsum; kSums: whether the sums are wanted. As conditions in the loop they
/// would keep it from being vectorised.
template <bool kAdds, bool kSums, typename Element>
LOCKSTEP_INLINE void backward(const LayerNormBackward<Element>& row, Arithmetic<Element>* weight_sums,
                              Arithmetic<Element>* bias_sums) {
  using Real = Arithmetic<Element>;
  const std::int64_t n = row.columns;
  const auto count = static_cast<Real>(n);
  const Element* dy = row.dy;
  const Element* s = row.s;
  const Real* weight = row.weight;
  const Element* dsum = row.dsum;
  Element* dx = row.dx;
  const Real mean = *row.mean;
  const Real rstd = *row.rstd;
  // Of g, g · n and n, where n still has the mean that the rounding of `mean` left.
  const auto sums = sums_over<Real, 3>(
      n, [&](std::int64_t i) __attribute__((always_inline)) {
        const Real gradient = to_arithmetic(dy[i]) * (weight != nullptr ? weight[i] : 1);
        const Real normalised = (to_arithmetic(s[i]) - mean) * rstd;
        return std::array<Real, 3>{gradient, gradient * normalised, normalised};
      });
  const Real shift = sums[2] / count;
  const Real gradient_mean = sums[0] / count;
  const Real slope = sums[1] / count - shift * gradient_mean;
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    const Real normalised = (to_arithmetic(s[i]) - mean) * rstd - shift;
    const Real dy_value = to_arithmetic(dy[i]);
    const Real gradient = dy_value * (weight != nullptr ? weight[i] : 1);
    dx[i] = from_arithmetic<Element>(rstd * (gradient - gradient_mean - normalised * slope) +
                                     (kAdds ? to_arithmetic(dsum[i]) : 0));
    if constexpr (kSums) {
      weight_sums[i] += dy_value * normalised;
      bias_sums[i] += dy_value;
    }
  }
}

#define LOCKSTEP_ROW(Element)                                                                                      \
  LOCKSTEP_MULTIVERSION void forward_row(const LayerNormForward<Element>& row) { forward(row); }                   \
  LOCKSTEP_MULTIVERSION void backward_row(const LayerNormBackward<Element>& row, Arithmetic<Element>* weight_sums, \
                                          Arithmetic<Element>* bias_sums) {                                        \
    if (row.dsum != nullptr) {                                                                                     \
      weight_sums != nullptr ? backward<true, true>(row, weight_sums, bias_sums)                                   \
                             : backward<true, false>(row, weight_sums, bias_sums);                                 \
    } else {                                                                                                       \
      weight_sums != nullptr ? backward<false, true>(row, weight_sums, bias_sums)                                  \
                             : backward<false, false>(row, weight_sums, bias_sums);                                \
    }                                                                                                              \
  }
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_ROW)
#undef LOCKSTEP_ROW

template <typename Pointer>
Pointer offset(Pointer pointer, std::int64_t by) {
  return pointer == nullptr ? nullptr : pointer + by;
}

}  // namespace

template <typename Element>
void layer_norm(const LayerNormForward<Element>& args) {
#pragma omp parallel for schedule(static) if (args.rows * args.columns > kSerialElements)
  for (std::int64_t row = 0; row < args.rows; ++row) {
    const std::int64_t begin = row * args.columns;
    LayerNormForward<Element> one = args;
    one.x += begin;
    one.residual = offset(args.residual, begin);
    one.sum = offset(args.sum, begin);
    one.y += begin;
    one.mean += row;
    one.rstd += row;
    forward_row(one);
  }
}

template <typename Element>
void layer_norm_backward(const LayerNormBackward<Element>& args) {
  const std::int64_t columns = args.columns;
  const bool sums_wanted = args.weight_gradient != nullptr || args.bias_gradient != nullptr;
  Arithmetic<Element>* const bias_workspace =
      sums_wanted ? args.workspace + column_sum_workspace(args.rows, columns) : nullptr;
  for_each_row_chunk(args.rows, columns, [&](std::int64_t chunk, std::int64_t first, std::int64_t end) {
    Arithmetic<Element>* const weight_sums = sums_wanted ? args.workspace + chunk * columns : nullptr;
    Arithmetic<Element>* const bias_sums = sums_wanted ? bias_workspace + chunk * columns : nullptr;
    if (sums_wanted) {
      std::fill_n(weight_sums, columns, 0);
      std::fill_n(bias_sums, columns, 0);
    }
    for (std::int64_t row = first; row < end; ++row) {
      const std::int64_t begin = row * columns;
      LayerNormBackward<Element> one = args;
      one.dy += begin;
      one.s += begin;
      one.mean += row;
      one.rstd += row;
      one.dsum = offset(args.dsum, begin);
      one.dx += begin;
      backward_row(one, weight_sums, bias_sums);
    }
  });
  if (args.weight_gradient != nullptr) sum_row_chunks(args.workspace, args.rows, columns, args.weight_gradient);
  if (args.bias_gradient != nullptr) sum_row_chunks(bias_workspace, args.rows, columns, args.bias_gradient);
}

#define LOCKSTEP_INSTANTIATE(Element)                         \
  template void layer_norm(const LayerNormForward<Element>&); \
  template void layer_norm_backward(const LayerNormBackward<Element>&);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels
