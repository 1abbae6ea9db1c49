#include "kernels/bias_gelu/BiasGelu.h"

#include "kernels/ColumnSum.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

/// Rows whose vectors a thread has on their way: one alone would leave the memory idle.
template <typename Element>
inline constexpr int kRowsAtOnce = sizeof(Element) == 8 ? 2 : 4;

/// As few as fill the memory, so that the compiler spends registers on loads that run at the same time.
constexpr int kResidentBlocks = 3;

template <typename Real>
struct Value {
  Real factor, derivative;
};

__device__ float normal_distribution(float z) { return normcdff(z); }
__device__ double normal_distribution(double z) { return normcdf(z); }

/// Φ(z) by what of e^(-z²/2) is beyond |z|: e^(-z²/2) t P(t) with t = 1 / (1 + 0.24 |z|). P fits erfcx(|z| / √2) / (2
/// t) for |z| ≤ 40 to a relative error of 4.3e-7: an accurate normcdf takes three times the instructions, more than
/// memory has time for.
__device__ float short_normal_distribution(float z, float exponential) {
  const float t = __fdividef(1.0F, 1 + 0.24F * fabsf(z));
  float p = -0.05298983543636224F;
  p = p * t + 0.15278618088388635F;
  p = p * t - 0.06568968678725841F;
  p = p * t + 0.11837710824444106F;
  p = p * t + 0.06340312121284664F;
  p = p * t + 0.09283716965211375F;
  p = p * t + 0.09552234430116985F;
  p = p * t + 0.0957537841845902F;
  const float beyond = p * t * exponential;
  return z > 0 ? 1 - beyond : beyond;
}

/// 16-bit results have no use for the last bits of a float.
template <Gelu kForm, typename Element>
__device__ Value<Arithmetic<Element>> gelu(Arithmetic<Element> z) {
  using Real = Arithmetic<Element>;
  constexpr bool kShort = sizeof(Element) == 2;
  const auto exponential = [](Real x) {
    if constexpr (kShort) {
      return __expf(x);
    } else {
      return exp(x);
    }
  };
  if constexpr (kForm == Gelu::kErf) {
    constexpr auto kDensity = static_cast<Real>(0.39894228040143267794);  // 1 / √(2π)
    if constexpr (kShort) {
      const Real bell = exponential(-z * z / 2);
      const Real factor = short_normal_distribution(z, bell);
      return {factor, factor + z * bell * kDensity};
    } else {
      const Real factor = normal_distribution(z);
      return {factor, factor + z * exponential(-z * z / 2) * kDensity};
    }
  } else {
    constexpr auto kTwiceRoot = static_cast<Real>(1.59576912160573071176);  // 2 √(2/π)
    constexpr auto kCubic = static_cast<Real>(0.044715);
    const Real divisor = 1 + exponential(-kTwiceRoot * (z + kCubic * z * z * z));
    Real factor;  // (1 + tanh u) / 2
    if constexpr (kShort) {
      factor = __fdividef(1.0F, divisor);
    } else {
      factor = 1 / divisor;
    }
    return {factor, factor + z * factor * (1 - factor) * kTwiceRoot * (1 + 3 * kCubic * z * z)};
  }
}

template <typename Element, int kVector>
__device__ void load_bias(const Arithmetic<Element>* bias, std::int64_t column,
                          Arithmetic<Element> (&values)[kVector]) {
  for (int v = 0; v < kVector; ++v) values[v] = bias != nullptr ? bias[column + v] : 0;
}

template <Gelu kForm, int kVector, typename Element>
__global__ void __launch_bounds__(kTileThreads, kResidentBlocks)
    forward_kernel(BiasGeluForward<Element> args, TileGrid grid) {
  const Tile tile(grid);
  if (tile.column >= args.columns) return;
  Arithmetic<Element> bias[kVector];
  load_bias<Element>(args.bias, tile.column, bias);
  const std::int64_t step = grid.row_lanes;
  for (std::int64_t row = tile.row_begin + tile.row_lane; row < tile.row_end; row += step * kRowsAtOnce<Element>) {
    Vector<Element, kVector> values[kRowsAtOnce<Element>];
    for (int i = 0; i < kRowsAtOnce<Element>; ++i) {
      const std::int64_t mine = row + i * step < tile.row_end ? row + i * step : row;
      values[i] = load<kVector>(args.x + mine * args.columns + tile.column);
    }
    for (int i = 0; i < kRowsAtOnce<Element>; ++i) {
      for (int v = 0; v < kVector; ++v) {
        const Arithmetic<Element> z = to_arithmetic(values[i].values[v]) + bias[v];
        values[i].values[v] = from_arithmetic<Element>(z * gelu<kForm, Element>(z).factor);
      }
      if (row + i * step < tile.row_end) store(args.y + (row + i * step) * args.columns + tile.column, values[i]);
    }
  }
}

template <Gelu kForm, int kVector, typename Element>
__global__ void __launch_bounds__(kTileThreads, kResidentBlocks)
    backward_kernel(BiasGeluBackward<Element> args, TileGrid grid) {
  constexpr int kAtOnce = kRowsAtOnce<Element> / 2;  // of two arrays each
  const Tile tile(grid);
  Arithmetic<Element> sums[kVector] = {};
  if (tile.column < args.columns) {
    Arithmetic<Element> bias[kVector];
    load_bias<Element>(args.bias, tile.column, bias);
    const std::int64_t step = grid.row_lanes;
    for (std::int64_t row = tile.row_begin + tile.row_lane; row < tile.row_end; row += step * kAtOnce) {
      Vector<Element, kVector> x[kAtOnce];
      Vector<Element, kVector> gradients[kAtOnce];
      for (int i = 0; i < kAtOnce; ++i) {
        const std::int64_t mine = row + i * step < tile.row_end ? row + i * step : row;
        x[i] = load<kVector>(args.x + mine * args.columns + tile.column);
        gradients[i] = load<kVector>(args.dy + mine * args.columns + tile.column);
      }
      for (int i = 0; i < kAtOnce; ++i) {
        if (row + i * step >= tile.row_end) break;
        for (int v = 0; v < kVector; ++v) {
          const Arithmetic<Element> derivative =
              gelu<kForm, Element>(to_arithmetic(x[i].values[v]) + bias[v]).derivative;
          const Arithmetic<Element> gradient = to_arithmetic(gradients[i].values[v]) * derivative;
          sums[v] += gradient;
          gradients[i].values[v] = from_arithmetic<Element>(gradient);
        }
        store(args.dx + (row + i * step) * args.columns + tile.column, gradients[i]);
      }
    }
  }
  if (args.bias_gradient != nullptr) write_chunk_sums(grid, tile, sums, args.workspace);
}

template <Gelu kForm, typename Element>
void forward(const BiasGeluForward<Element>& args, Stream stream) {
  constexpr int kVector = kVectorLength<Element>;
  const bool wide = args.columns % kVector == 0 && is_aligned(args.x) && is_aligned(args.y);
  const TileGrid grid = tile_grid(args.rows, args.columns, wide ? kVector : 1);
  launch("bias_gelu", wide ? forward_kernel<kForm, kVector, Element> : forward_kernel<kForm, 1, Element>, grid.blocks(),
         kTileThreads, stream, args, grid);
}

template <Gelu kForm, typename Element>
void backward(const BiasGeluBackward<Element>& args, Stream stream) {
  constexpr int kVector = kVectorLength<Element>;
  const bool wide = args.columns % kVector == 0 && is_aligned(args.x) && is_aligned(args.dy) && is_aligned(args.dx);
  const TileGrid grid = tile_grid(args.rows, args.columns, wide ? kVector : 1);
  launch("bias_gelu_backward", wide ? backward_kernel<kForm, kVector, Element> : backward_kernel<kForm, 1, Element>,
         grid.blocks(), kTileThreads, stream, args, grid);
  sum_row_chunks<1>(args.workspace, args.rows, args.columns, {args.bias_gradient}, stream);
}

}  // namespace

template <typename Element>
void bias_gelu(const BiasGeluForward<Element>& args, Stream stream) {
  args.form == Gelu::kErf ? forward<Gelu::kErf>(args, stream) : forward<Gelu::kTanh>(args, stream);
}

template <typename Element>
void bias_gelu_backward(const BiasGeluBackward<Element>& args, Stream stream) {
  args.form == Gelu::kErf ? backward<Gelu::kErf>(args, stream) : backward<Gelu::kTanh>(args, stream);
}

#define LOCKSTEP_INSTANTIATE(Element)                               \
  template void bias_gelu(const BiasGeluForward<Element>&, Stream); \
  template void bias_gelu_backward(const BiasGeluBackward<Element>&, Stream);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)

}  // namespace lockstep::kernels
