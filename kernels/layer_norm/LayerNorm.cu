#include "kernels/layer_norm/LayerNorm.h"

#include <initializer_list>
#include <utility>

#include "kernels/ColumnSum.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

// A row belongs to a team of kTeam threads: a warp, some warps, or the whole block. A thread has the vectors that begin
// at columns lane · kVector, (lane + kTeam) · kVector and so on; kHeld of them, which stay in registers, or, with
// kHeld = 0, as many as there are, which are read anew each time.
template <int kTeam>
inline constexpr int kBlock = kTeam == kWarp ? 128 : (kTeam > 256 ? kTeam : 256);

/// work(0), work(1), ... work(kCount - 1), unrolled, so that what they index lies in registers.
template <int kCount, typename Work>
__device__ void unrolled(const Work& work) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) { (work(kIndex), ...); }
  (std::make_integer_sequence<int, kCount>());
}

/// Calls `work(index among the held, column)` for the thread's vectors of a row. The columns of a team without a row
/// are 0.
template <int kTeam, int kHeld, int kVector, typename Work>
__device__ void for_each_vector(std::int64_t columns, const Work& work) {
  const int first = static_cast<int>(threadIdx.x) % kTeam * kVector;
  if constexpr (kHeld > 0) {
    unrolled<kHeld>([&](int h) {
      if (const int column = first + h * kTeam * kVector; column < columns) work(h, column);
    });
  } else {
    for (std::int64_t column = first; column < columns; column += kTeam * kVector) work(0, column);
  }
}

/// The thread's part of a row in global memory.
template <int kTeam, int kHeld, int kVector, typename Element>
struct Part {
  const Element* row;
  Vector<Element, kVector> held[kHeld > 0 ? kHeld : 1] = {};

  __device__ Part(const Element* from, std::int64_t columns) : row(from) {
    if constexpr (kHeld == 0) return;
    for_each_vector<kTeam, kHeld, kVector>(columns,
                                           [&](int h, std::int64_t column) { held[h] = load<kVector>(row + column); });
  }
  __device__ Vector<Element, kVector> at(int h, std::int64_t column) const {
    if constexpr (kHeld == 0) return load<kVector>(row + column);
    return held[h];
  }
};

// Parameters and sums beside a vector of kLength elements, by accesses of at most 16 bytes.
template <typename Real, int kLength>
inline constexpr int kPiece = kLength < kVectorLength<Real> ? kLength : kVectorLength<Real>;

template <int kLength, typename Real>
__device__ void load_reals(const Real* from, Real otherwise, Real (&values)[kLength]) {
  constexpr int kStep = kPiece<Real, kLength>;
  for (int i = 0; i < kLength; i += kStep) {
    Vector<Real, kStep> piece = {};
    if (from != nullptr) piece = load<kStep>(from + i);
    for (int j = 0; j < kStep; ++j) values[i + j] = from != nullptr ? piece.values[j] : otherwise;
  }
}

template <int kLength, typename Real>
__device__ void store_reals(Real* to, const Real (&values)[kLength]) {
  constexpr int kStep = kPiece<Real, kLength>;
  for (int i = 0; i < kLength; i += kStep) {
    Vector<Real, kStep> piece;
    for (int j = 0; j < kStep; ++j) piece.values[j] = values[i + j];
    store(to + i, piece);
  }
}

template <typename Real>
__device__ const Real* offset(const Real* pointer, std::int64_t by) {
  return pointer == nullptr ? nullptr : pointer + by;
}

/// The sums over a team, in each of its threads. All threads of the block must call it; it may be called again at once.
template <int kTeam, int kSums, typename Real>
__device__ void team_sums(Real (&values)[kSums]) {
  for (int s = 0; s < kSums; ++s) values[s] = warp_sum(values[s]);
  if constexpr (kTeam > kWarp) {
    constexpr int kWarps = kBlock<kTeam> / kWarp;
    constexpr int kTeamWarps = kTeam / kWarp;
    LOCKSTEP_SHARED(Real, sums, kSums * kWarps);
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    __syncthreads();  // an earlier call's sums have been read
    if (lane == 0) {
      for (int s = 0; s < kSums; ++s) sums[s * kWarps + warp] = values[s];
    }
    __syncthreads();
    for (int s = 0; s < kSums; ++s) {
      values[s] = sums[s * kWarps + warp / kTeamWarps * kTeamWarps + lane % kTeamWarps];
      for (int distance = kTeamWarps / 2; distance > 0; distance /= 2) {
        values[s] += __shfl_xor_sync(kFullWarp, values[s], distance);
      }
    }
  }
}

template <int kTeam, int kHeld, int kVector, typename Element>
__global__ void __launch_bounds__(kBlock<kTeam>) forward_kernel(LayerNormForward<Element> args) {
  using Real = Arithmetic<Element>;
  const auto for_each = [](std::int64_t columns, const auto& work) {
    for_each_vector<kTeam, kHeld, kVector>(columns, work);
  };
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * (kBlock<kTeam> / kTeam) + threadIdx.x / kTeam;
  const std::int64_t columns = row < args.rows ? args.columns : 0;
  const std::int64_t begin = row * args.columns;
  const auto count = static_cast<Real>(args.columns);

  Part<kTeam, kHeld, kVector, Element> s(args.x + begin, columns);
  if (args.residual != nullptr) {
    const Part<kTeam, kHeld, kVector, Element> residual(args.residual + begin, columns);
    for_each(columns, [&](int h, std::int64_t column) {
      auto values = s.at(h, column);
      const auto others = residual.at(h, column);
      for (int v = 0; v < kVector; ++v) {
        values.values[v] = from_arithmetic<Element>(to_arithmetic(values.values[v]) + to_arithmetic(others.values[v]));
      }
      store(args.sum + begin + column, values);
      s.held[h] = values;
    });
    s.row = args.sum + begin;
  }

  Real total[1] = {};
  for_each(columns, [&](int h, std::int64_t column) {
    const auto values = s.at(h, column);
    for (int v = 0; v < kVector; ++v) total[0] += to_arithmetic(values.values[v]);
  });
  team_sums<kTeam>(total);
  const Real center = total[0] / count;

  Real moments[2] = {};
  for_each(columns, [&](int h, std::int64_t column) {
    const auto values = s.at(h, column);
    for (int v = 0; v < kVector; ++v) {
      const Real difference = to_arithmetic(values.values[v]) - center;
      moments[0] += difference;
      moments[1] += difference * difference;
    }
  });
  team_sums<kTeam>(moments);
  const Real shift = moments[0] / count;
  const Real variance = moments[1] / count - shift * shift;
  const Real rstd = 1 / sqrt((variance < 0 ? 0 : variance) + static_cast<Real>(args.epsilon));
  if (threadIdx.x % kTeam == 0 && row < args.rows) {
    args.mean[row] = center + shift;
    args.rstd[row] = rstd;
  }

  for_each(columns, [&](int h, std::int64_t column) {
    auto values = s.at(h, column);
    Real weight[kVector];
    Real bias[kVector];
    load_reals(offset(args.weight, column), Real(1), weight);
    load_reals(offset(args.bias, column), Real(0), bias);
    for (int v = 0; v < kVector; ++v) {
      const Real normalised = (to_arithmetic(values.values[v]) - center - shift) * rstd;
      values.values[v] = from_arithmetic<Element>(normalised * weight[v] + bias[v]);
    }
    store(args.y + begin + column, values);
  });
}

// A block has a chunk of rows, and sums over them in registers, or in its row of the workspace where it has too few.
template <int kTeam, int kHeld, int kVector, typename Element>
__global__ void __launch_bounds__(kBlock<kTeam>, kTeam == kWarp ? 3 : 512 / kBlock<kTeam>)
    backward_kernel(LayerNormBackward<Element> args) {
  using Real = Arithmetic<Element>;
  using RowPart = Part<kTeam, kHeld, kVector, Element>;
  constexpr int kTeams = kBlock<kTeam> / kTeam;
  constexpr bool kHoldSums = kHeld > 0 && (kTeam == kWarp || kHeld * kVector <= 4 * kVectorLength<Real>);
  const auto for_each = [](std::int64_t columns, const auto& work) {
    for_each_vector<kTeam, kHeld, kVector>(columns, work);
  };
  const auto count = static_cast<Real>(args.columns);
  const bool sums_wanted = args.weight_gradient != nullptr || args.bias_gradient != nullptr;
  const std::int64_t row_begin = blockIdx.x * rows_per_chunk(args.rows);
  const std::int64_t row_end =
      row_begin + rows_per_chunk(args.rows) < args.rows ? row_begin + rows_per_chunk(args.rows) : args.rows;
  Real* const weight_sums = sums_wanted ? args.workspace + blockIdx.x * args.columns : nullptr;
  Real* const bias_sums = sums_wanted ? weight_sums + column_sum_workspace(args.rows, args.columns) : nullptr;

  Real held_sums[2][kHoldSums ? kHeld : 1][kVector] = {};
  for (std::int64_t first = row_begin; first < row_end; first += kTeams) {
    const std::int64_t row = first + threadIdx.x / kTeam;
    const bool exists = row < row_end;
    const std::int64_t columns = exists ? args.columns : 0;
    const std::int64_t begin = row * args.columns;
    const Real mean = exists ? args.mean[row] : 0;
    const Real rstd = exists ? args.rstd[row] : 0;
    const RowPart dy(args.dy + begin, columns);
    const RowPart s(args.s + begin, columns);
    const auto normalise = [&](int h, std::int64_t column, Real(&values)[kVector]) {
      const auto s_values = s.at(h, column);
      for (int v = 0; v < kVector; ++v) values[v] = (to_arithmetic(s_values.values[v]) - mean) * rstd;
    };
    // No earlier than needed, and every time anew: beside the sums of a chunk there are no registers for it.
    const auto load_weight = [&](std::int64_t column, Real(&values)[kVector]) {
      asm volatile("" ::: "memory");
      load_reals(offset(args.weight, column), Real(1), values);
    };

    Real work[kHeld > 0 ? kHeld : 1][kVector];  // n, then dx
    Real sums[3] = {};  // of g, g · n and n, where n still has the mean that the rounding of `mean` left
    for_each(columns, [&](int h, std::int64_t column) {
      const auto dy_values = dy.at(h, column);
      Real weight[kVector];
      load_weight(column, weight);
      normalise(h, column, work[h]);
      for (int v = 0; v < kVector; ++v) {
        const Real gradient = to_arithmetic(dy_values.values[v]) * weight[v];
        sums[0] += gradient;
        sums[1] += gradient * work[h][v];
        sums[2] += work[h][v];
      }
    });
    team_sums<kTeam>(sums);
    const Real shift = sums[2] / count;
    const Real gradient_mean = sums[0] / count;
    const Real slope = sums[1] / count - shift * gradient_mean;

    const auto differentiate = [&](int h, std::int64_t column) {
      const auto dy_values = dy.at(h, column);
      Real weight[kVector];
      load_weight(column, weight);
      if constexpr (kHeld == 0) normalise(h, column, work[h]);
      Real terms[2][kVector];
      for (int v = 0; v < kVector; ++v) {
        const Real normalised = work[h][v] - shift;
        const Real dy_value = to_arithmetic(dy_values.values[v]);
        work[h][v] = rstd * (dy_value * weight[v] - gradient_mean - normalised * slope);
        terms[0][v] = dy_value * normalised;
        terms[1][v] = dy_value;
      }
      for (int sum = 0; sum < 2; ++sum) {
        if constexpr (kHoldSums) {
          for (int v = 0; v < kVector; ++v) held_sums[sum][h][v] += terms[sum][v];
        } else if (sums_wanted) {
          Real* const to = (sum == 0 ? weight_sums : bias_sums) + column;
          Real before[kVector];
          load_reals(row == row_begin ? nullptr : to, Real(0), before);
          for (int v = 0; v < kVector; ++v) before[v] += terms[sum][v];
          store_reals(to, before);
        }
      }
    };
    if constexpr (kHeld > 0) for_each(columns, differentiate);
    const RowPart dsum(offset(args.dsum, begin), args.dsum != nullptr ? columns : 0);
    for_each(columns, [&](int h, std::int64_t column) {
      if constexpr (kHeld == 0) differentiate(h, column);
      Vector<Element, kVector> values = {};
      if (args.dsum != nullptr) values = dsum.at(h, column);
      for (int v = 0; v < kVector; ++v) {
        values.values[v] =
            from_arithmetic<Element>(args.dsum != nullptr ? work[h][v] + to_arithmetic(values.values[v]) : work[h][v]);
      }
      store(args.dx + begin + column, values);
    });
  }

  if constexpr (kHoldSums) {
    if (!sums_wanted) return;
    unrolled<kHeld>([&](int h) {
      const int column = static_cast<int>(threadIdx.x % kTeam + h * kTeam) * kVector;
      for (int sum = 0; sum < 2; ++sum) {
        Real* const to = (sum == 0 ? weight_sums : bias_sums) + column;
        write_lane_sums<kBlock<kTeam>>(kTeam, held_sums[sum][h], column < args.columns ? to : nullptr);
      }
    });
  }
}

/// Calls `use.operator()<kTeam, kHeld, kVector>()` with what suits rows of so many columns. A thread holds at most 24
/// float32 or 12 float64 of a row: the backward pass has three such arrays and two sums of each element.
template <int kVector, typename Element, typename Use>
void with_team(std::int64_t columns, const Use& use) {
  constexpr int kUnit = kVectorLength<Arithmetic<Element>>;
  const auto fits = [&](int team, int held) { return columns <= team * held; };
  if (fits(32, 2 * kUnit)) {
    use.template operator()<32, 2 * kUnit / kVector, kVector>();
  } else if (kVector == 1 && fits(512, 2 * kUnit)) {
    use.template operator()<512, kVector == 1 ? 2 * kUnit : 0, kVector>();
  } else if constexpr (kVector == 1) {
    use.template operator()<512, 0, kVector>();
  } else if (fits(32, 6 * kUnit)) {
    use.template operator()<32, 6 * kUnit / kVector, kVector>();
  } else if (fits(128, 4 * kUnit)) {
    use.template operator()<128, 4 * kUnit / kVector, kVector>();
  } else if (fits(512, 4 * kUnit)) {
    use.template operator()<512, 4 * kUnit / kVector, kVector>();
  } else if (fits(512, 6 * kUnit)) {
    use.template operator()<512, 6 * kUnit / kVector, kVector>();
  } else {
    use.template operator()<512, 0, kVector>();
  }
}

template <typename Element, typename Use>
void with_kernel(std::int64_t columns, std::initializer_list<const void*> pointers, const Use& use) {
  constexpr int kVector = kVectorLength<Element>;
  bool wide = columns % kVector == 0;
  for (const void* pointer : pointers) wide = wide && is_aligned(pointer);
  wide ? with_team<kVector, Element>(columns, use) : with_team<1, Element>(columns, use);
}

}  // namespace

template <typename Element>
void layer_norm(const LayerNormForward<Element>& args, Stream stream) {
  with_kernel<Element>(args.columns, {args.x, args.residual, args.weight, args.bias, args.sum, args.y},
                       [&]<int kTeam, int kHeld, int kVector>() {
                         launch("layer_norm", forward_kernel<kTeam, kHeld, kVector, Element>,
                                divide_up(args.rows, kBlock<kTeam> / kTeam), kBlock<kTeam>, stream, args);
                       });
}

template <typename Element>
void layer_norm_backward(const LayerNormBackward<Element>& args, Stream stream) {
  with_kernel<Element>(args.columns, {args.dy, args.s, args.weight, args.dsum, args.dx, args.workspace},
                       [&]<int kTeam, int kHeld, int kVector>() {
                         launch("layer_norm_backward", backward_kernel<kTeam, kHeld, kVector, Element>,
                                row_chunks(args.rows), kBlock<kTeam>, stream, args);
                       });
  sum_row_chunks<2>(args.workspace, args.rows, args.columns, {args.weight_gradient, args.bias_gradient}, stream);
}

#define LOCKSTEP_INSTANTIATE(Element)                                 \
  template void layer_norm(const LayerNormForward<Element>&, Stream); \
  template void layer_norm_backward(const LayerNormBackward<Element>&, Stream);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)

}  // namespace lockstep::kernels
