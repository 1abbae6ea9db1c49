#include "kernels/max_pool_relu/MaxPoolRelu.h"

#include "kernels/Cuda.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

constexpr int kThreads = 256;

/// What a thread works on: kVector channels at one place of one image.
template <int kVector>
struct Place {
  std::int64_t image, row, column, channel;
  __device__ static Place of_thread(std::int64_t rows, std::int64_t columns, std::int64_t channels) {
    const std::int64_t pixel = grid_index() / (channels / kVector);
    const std::int64_t row = pixel / columns;
    return {row / rows, row % rows, pixel % columns, grid_index() % (channels / kVector) * kVector};
  }
  __device__ std::int64_t offset(std::int64_t rows, std::int64_t columns, std::int64_t channels) const {
    return ((image * rows + row) * columns + column) * channels + channel;
  }
};

/// kSide: of the square windows, or 0 for all others.
template <int kVector, int kSide, typename Element>
__global__ void __launch_bounds__(kThreads) forward_kernel(MaxPoolReluForward<Element> args) {
  using Real = Arithmetic<Element>;
  constexpr int kAtOnce = kSide > 0 ? kSide * kSide : 4;  // loads on their way
  const auto& [batch, channels, rows, columns] = args.shape;
  const auto place = Place<kVector>::of_thread(rows.outputs, columns.outputs, channels);
  if (place.image >= batch) return;
  const int width = kSide > 0 ? kSide : columns.kernel;
  const int area = kSide > 0 ? kSide * kSide : rows.kernel * columns.kernel;
  const std::int64_t top = rows.window_begin(place.row);
  const std::int64_t left = columns.window_begin(place.column);
  const Element* x = args.x + place.image * rows.size * columns.size * channels + place.channel;
  Real best[kVector];
  int index[kVector];
  for (int v = 0; v < kVector; ++v) {
    best[v] = static_cast<Real>(-INFINITY);
    index[v] = static_cast<int>((top < 0 ? -top : 0) * width + (left < 0 ? -left : 0));
  }
  for (int first = 0; first < area; first += kAtOnce) {
    Vector<Element, kVector> values[kAtOnce];
    bool inside[kAtOnce];
    for (int i = 0; i < kAtOnce; ++i) {
      const std::int64_t row = top + (first + i) / width;
      const std::int64_t column = left + (first + i) % width;
      inside[i] = first + i < area && row >= 0 && row < rows.size && column >= 0 && column < columns.size;
      if (inside[i]) values[i] = load<kVector>(x + (row * columns.size + column) * channels);
    }
    for (int i = 0; i < kAtOnce; ++i) {
      for (int v = 0; v < kVector; ++v) {
        const Real value = to_arithmetic(values[i].values[v]);
        const bool better = inside[i] && (value > best[v] || value != value);
        best[v] = better ? value : best[v];
        index[v] = better ? first + i : index[v];
      }
    }
  }
  Vector<Element, kVector> y;
  Vector<std::uint8_t, kVector> chosen;
  for (int v = 0; v < kVector; ++v) {
    const bool none = args.relu && best[v] <= 0;
    y.values[v] = from_arithmetic<Element>(none ? 0 : best[v]);
    chosen.values[v] = static_cast<std::uint8_t>(none ? kNoMaximum : index[v]);
  }
  const std::int64_t offset = place.offset(rows.outputs, columns.outputs, channels);
  store(args.y + offset, y);
  store(args.index + offset, chosen);
}

/// A thread for each input.
template <int kVector, typename Element>
__global__ void __launch_bounds__(kThreads) gather_kernel(MaxPoolReluBackward<Element> args) {
  const auto& [batch, channels, rows, columns] = args.shape;
  const auto place = Place<kVector>::of_thread(rows.size, columns.size, channels);
  if (place.image >= batch) return;
  const PoolAxis::Range out_rows = rows.windows(place.row);
  const PoolAxis::Range out_columns = columns.windows(place.column);
  Arithmetic<Element> sums[kVector] = {};
  for (std::int64_t out_row = out_rows.begin; out_row < out_rows.end; ++out_row) {
    for (std::int64_t out_column = out_columns.begin; out_column < out_columns.end; ++out_column) {
      const Place<kVector> out{place.image, out_row, out_column, place.channel};
      const std::int64_t offset = out.offset(rows.outputs, columns.outputs, channels);
      const auto dy = load<kVector>(args.dy + offset);
      const auto index = load<kVector>(args.index + offset);
      const int k = static_cast<int>((place.row - rows.window_begin(out_row)) * columns.kernel + place.column -
                                     columns.window_begin(out_column));
      for (int v = 0; v < kVector; ++v) sums[v] += index.values[v] == k ? to_arithmetic(dy.values[v]) : 0;
    }
  }
  Vector<Element, kVector> dx;
  for (int v = 0; v < kVector; ++v) dx.values[v] = from_arithmetic<Element>(sums[v]);
  store(args.dx + place.offset(rows.size, columns.size, channels), dx);
}

/// Where windows do not overlap: a thread for each output, which writes all inputs of its cell.
template <int kVector, typename Element>
__global__ void __launch_bounds__(kThreads) scatter_kernel(MaxPoolReluBackward<Element> args) {
  const auto& [batch, channels, rows, columns] = args.shape;
  const auto place = Place<kVector>::of_thread(rows.outputs, columns.outputs, channels);
  if (place.image >= batch) return;
  const std::int64_t offset = place.offset(rows.outputs, columns.outputs, channels);
  const auto dy = load<kVector>(args.dy + offset);
  const auto index = load<kVector>(args.index + offset);
  const PoolAxis::Range row_range = rows.cell(place.row);
  const PoolAxis::Range column_range = columns.cell(place.column);
  Element* dx = args.dx + place.image * rows.size * columns.size * channels + place.channel;
  for (std::int64_t row = row_range.begin; row < row_range.end; ++row) {
    const std::int64_t k_row = row - rows.window_begin(place.row);
    for (std::int64_t column = column_range.begin; column < column_range.end; ++column) {
      const std::int64_t k_column = column - columns.window_begin(place.column);
      const int k = k_row < rows.kernel && k_column < columns.kernel
                        ? static_cast<int>(k_row * columns.kernel + k_column)
                        : -1;  // in the gap
      Vector<Element, kVector> values;
      for (int v = 0; v < kVector; ++v) values.values[v] = index.values[v] == k ? dy.values[v] : Element{};
      store(dx + (row * columns.size + column) * channels, values);
    }
  }
}

template <int kVector, typename Element>
auto forward_kernel_for(const PoolShape& shape) {
  const int side = shape.rows.kernel == shape.columns.kernel ? shape.rows.kernel : 0;
  return side == 2   ? forward_kernel<kVector, 2, Element>
         : side == 3 ? forward_kernel<kVector, 3, Element>
                     : forward_kernel<kVector, 0, Element>;
}

template <int kVector, typename Element>
auto backward_kernel_for(bool overlap) {
  return overlap ? gather_kernel<kVector, Element> : scatter_kernel<kVector, Element>;
}

template <int kVector>
bool is_wide(const PoolShape& shape, const void* a, const void* b, const std::uint8_t* index) {
  return shape.channels % kVector == 0 && is_aligned(a) && is_aligned(b) &&
         reinterpret_cast<std::uintptr_t>(index) % kVector == 0;
}

}  // namespace

template <typename Element>
void max_pool_relu(const MaxPoolReluForward<Element>& args, Stream stream) {
  constexpr int kVector = kVectorLength<Element>;
  const auto& [batch, channels, rows, columns] = args.shape;
  const bool wide = is_wide<kVector>(args.shape, args.x, args.y, args.index);
  const std::int64_t threads = batch * rows.outputs * columns.outputs * channels / (wide ? kVector : 1);
  launch("max_pool_relu",
         wide ? forward_kernel_for<kVector, Element>(args.shape) : forward_kernel_for<1, Element>(args.shape),
         divide_up(threads, kThreads), kThreads, stream, args);
}

template <typename Element>
void max_pool_relu_backward(const MaxPoolReluBackward<Element>& args, Stream stream) {
  constexpr int kVector = kVectorLength<Element>;
  const auto& [batch, channels, rows, columns] = args.shape;
  const bool wide = is_wide<kVector>(args.shape, args.dy, args.dx, args.index);
  const bool overlap = rows.kernel > rows.stride || columns.kernel > columns.stride;
  const std::int64_t places = overlap ? rows.size * columns.size : rows.outputs * columns.outputs;
  const std::int64_t threads = batch * places * channels / (wide ? kVector : 1);
  launch("max_pool_relu_backward",
         wide ? backward_kernel_for<kVector, Element>(overlap) : backward_kernel_for<1, Element>(overlap),
         divide_up(threads, kThreads), kThreads, stream, args);
}

#define LOCKSTEP_INSTANTIATE(Element)                                      \
  template void max_pool_relu(const MaxPoolReluForward<Element>&, Stream); \
  template void max_pool_relu_backward(const MaxPoolReluBackward<Element>&, Stream);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)

}  // namespace lockstep::kernels
