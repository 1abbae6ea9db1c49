#include "kernels/bias_gelu/BiasGelu.h"

#include "kernels/ColumnSum.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

template <typename Real>
struct Value {
  Real factor, derivative;
};

__device__ float normal_distribution(float z) { return normcdff(z); }
__device__ double normal_distribution(double z) { return normcdf(z); }

template <Gelu kForm, typename Real>
__device__ Value<Real> gelu(Real z) {
  if constexpr (kForm == Gelu::kErf) {
    constexpr auto kDensity = static_cast<Real>(0.39894228040143267794);  // 1 / √(2π)
    const Real factor = normal_distribution(z);
    return {factor, factor + z * exp(-z * z / 2) * kDensity};
  } else {
    constexpr auto kTwiceRoot = static_cast<Real>(1.59576912160573071176);  // 2 √(2/π)
    constexpr auto kCubic = static_cast<Real>(0.044715);
    const Real factor = 1 / (1 + exp(-kTwiceRoot * (z + kCubic * z * z * z)));  // (1 + tanh u) / 2
    return {factor, factor + z * factor * (1 - factor) * kTwiceRoot * (1 + 3 * kCubic * z * z)};
  }
}

template <typename Element, int kVector>
__device__ void load_bias(const Arithmetic<Element>* bias, std::int64_t column,
                          Arithmetic<Element> (&values)[kVector]) {
  for (int v = 0; v < kVector; ++v) values[v] = bias != nullptr ? bias[column + v] : 0;
}

template <Gelu kForm, int kVector, typename Element>
__global__ void __launch_bounds__(kTileThreads) forward_kernel(BiasGeluForward<Element> args, TileGrid grid) {
  const Tile tile(grid);
  if (tile.column >= args.columns) return;
  Arithmetic<Element> bias[kVector];
  load_bias<Element>(args.bias, tile.column, bias);
  for (std::int64_t row = tile.row_begin + tile.row_lane; row < tile.row_end; row += grid.row_lanes) {
    auto values = load<kVector>(args.x + row * args.columns + tile.column);
    for (int v = 0; v < kVector; ++v) {
      const Arithmetic<Element> z = to_arithmetic(values.values[v]) + bias[v];
      values.values[v] = from_arithmetic<Element>(z * gelu<kForm>(z).factor);
    }
    store(args.y + row * args.columns + tile.column, values);
  }
}

template <Gelu kForm, int kVector, typename Element>
__global__ void __launch_bounds__(kTileThreads) backward_kernel(BiasGeluBackward<Element> args, TileGrid grid) {
  const Tile tile(grid);
  Arithmetic<Element> sums[kVector] = {};
  if (tile.column < args.columns) {
    Arithmetic<Element> bias[kVector];
    load_bias<Element>(args.bias, tile.column, bias);
    for (std::int64_t row = tile.row_begin + tile.row_lane; row < tile.row_end; row += grid.row_lanes) {
      const std::int64_t at = row * args.columns + tile.column;
      const auto x = load<kVector>(args.x + at);
      auto gradients = load<kVector>(args.dy + at);
      for (int v = 0; v < kVector; ++v) {
        const Arithmetic<Element> derivative = gelu<kForm>(to_arithmetic(x.values[v]) + bias[v]).derivative;
        const Arithmetic<Element> gradient = to_arithmetic(gradients.values[v]) * derivative;
        sums[v] += gradient;
        gradients.values[v] = from_arithmetic<Element>(gradient);
      }
      store(args.dx + at, gradients);
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
