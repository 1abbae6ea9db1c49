#include "kernels/max_pool_relu/MaxPoolRelu.h"

#include "kernels/Cuda.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

// With one block as all that must fit, the compiler spends registers on loads that run at the same time.
constexpr int kThreads = 256;

using Axis = PoolAxisOf<std::int32_t>;

/// The images of one launch, of which an element is counted in 32 bits: 64-bit divisions would take longer than the
/// pooling.
struct Images {
  std::int32_t count, channels;
  Axis rows, columns;

  __device__ std::int32_t input(std::int32_t image, std::int32_t row, std::int32_t column) const {
    return ((image * rows.size + row) * columns.size + column) * channels;
  }
  __device__ std::int32_t output(std::int32_t image, std::int32_t row, std::int32_t column) const {
    return ((image * rows.outputs + row) * columns.outputs + column) * channels;
  }
};

/// What a thread works on: kVector channels at one place of one image.
template <int kVector>
struct Place {
  std::int32_t image, row, column, channel;
  __device__ Place(std::int32_t rows, std::int32_t columns, std::int32_t channels) {
    const auto thread = static_cast<std::uint32_t>(grid_index());
    const auto vectors = static_cast<std::uint32_t>(channels / kVector);
    const std::uint32_t pixel = thread / vectors;
    const std::uint32_t line = pixel / static_cast<std::uint32_t>(columns);
    const std::uint32_t at = line / static_cast<std::uint32_t>(rows);
    image = static_cast<std::int32_t>(at);
    row = static_cast<std::int32_t>(line - at * static_cast<std::uint32_t>(rows));
    column = static_cast<std::int32_t>(pixel - line * static_cast<std::uint32_t>(columns));
    channel = static_cast<std::int32_t>(thread - pixel * vectors) * kVector;
  }
};

__device__ std::int32_t clamped(std::int32_t at, std::int32_t size) {
  const std::int32_t low = at > 0 ? at : 0;
  return low < size ? low : size - 1;
}

/// kSide: of the square windows, or 0 for all others.
template <int kVector, int kSide, typename Element>
__global__ void __launch_bounds__(kThreads, 1)
    forward_kernel(Images images, const Element* x, Element* to, std::uint8_t* to_index, bool relu) {
  using Real = Arithmetic<Element>;
  constexpr int kAtOnce = kSide > 0 ? kSide * kSide : 4;  // loads on their way
  const Axis rows = images.rows;
  const Axis columns = images.columns;
  const Place<kVector> place(rows.outputs, columns.outputs, images.channels);
  if (place.image >= images.count) return;
  const int width = kSide > 0 ? kSide : columns.kernel;
  const int area = kSide > 0 ? kSide * kSide : rows.kernel * columns.kernel;
  const std::int32_t top = rows.window_begin(place.row);
  const std::int32_t left = columns.window_begin(place.column);
  Real best[kVector];
  int index[kVector];
  for (int v = 0; v < kVector; ++v) {
    best[v] = static_cast<Real>(-INFINITY);
    index[v] = (top < 0 ? -top : 0) * width + (left < 0 ? -left : 0);
  }
  for (int first = 0; first < area; first += kAtOnce) {
    // What is outside of the image is read at its edge, and not looked at: a load under a condition would wait for the
    // one before.
    Vector<Element, kVector> values[kAtOnce];
    bool inside[kAtOnce];
    for (int i = 0; i < kAtOnce; ++i) {
      const std::int32_t row = top + (first + i) / width;
      const std::int32_t column = left + (first + i) % width;
      inside[i] = (first + i < area) & (row >= 0) & (row < rows.size) & (column >= 0) & (column < columns.size);
      values[i] = load<kVector>(x + images.input(place.image, clamped(row, rows.size), clamped(column, columns.size)) +
                                place.channel);
    }
    for (int i = 0; i < kAtOnce; ++i) {
      for (int v = 0; v < kVector; ++v) {
        const Real value = to_arithmetic(values[i].values[v]);
        const bool better = inside[i] & ((value > best[v]) | (value != value));
        best[v] = better ? value : best[v];
        index[v] = better ? first + i : index[v];
      }
    }
  }
  Vector<Element, kVector> y;
  Vector<std::uint8_t, kVector> chosen;
  for (int v = 0; v < kVector; ++v) {
    const bool none = relu & (best[v] <= 0);
    y.values[v] = from_arithmetic<Element>(none ? 0 : best[v]);
    chosen.values[v] = static_cast<std::uint8_t>(none ? kNoMaximum : index[v]);
  }
  const std::int32_t offset = images.output(place.image, place.row, place.column) + place.channel;
  store(to + offset, y);
  store(to_index + offset, chosen);
}

/// A thread for each input. kCover: how many windows an input may be in, in either direction, or 0 for any number.
template <int kVector, int kCover, typename Element>
__global__ void __launch_bounds__(kThreads, 1)
    gather_kernel(Images images, const Element* dy, const std::uint8_t* index, Element* dx) {
  constexpr int kAtOnce = kCover > 0 ? kCover * kCover : 4;  // pairs of loads on their way
  const Axis rows = images.rows;
  const Axis columns = images.columns;
  const Place<kVector> place(rows.size, columns.size, images.channels);
  if (place.image >= images.count) return;
  const Axis::Range out_rows = rows.windows(place.row);
  const Axis::Range out_columns = columns.windows(place.column);
  const std::int32_t width = kCover > 0 ? kCover : out_columns.end - out_columns.begin;
  const std::int32_t area = kCover > 0 ? kCover * kCover : (out_rows.end - out_rows.begin) * width;
  Arithmetic<Element> sums[kVector] = {};
  for (std::int32_t first = 0; first < area; first += kAtOnce) {
    Vector<Element, kVector> gradients[kAtOnce];
    Vector<std::uint8_t, kVector> chosen[kAtOnce];
    int wanted[kAtOnce];
    for (int i = 0; i < kAtOnce; ++i) {
      const std::int32_t out_row = out_rows.begin + (first + i) / width;
      const std::int32_t out_column = out_columns.begin + (first + i) % width;
      const bool covers = (out_row < out_rows.end) & (out_column < out_columns.end);
      const std::int32_t offset =
          images.output(place.image, clamped(out_row, rows.outputs), clamped(out_column, columns.outputs)) +
          place.channel;
      gradients[i] = load<kVector>(dy + offset);
      chosen[i] = load<kVector>(index + offset);
      const int k =
          (place.row - rows.window_begin(out_row)) * columns.kernel + place.column - columns.window_begin(out_column);
      wanted[i] = covers ? k : -1;
    }
    for (int i = 0; i < kAtOnce; ++i) {
      for (int v = 0; v < kVector; ++v) {
        sums[v] += chosen[i].values[v] == wanted[i] ? to_arithmetic(gradients[i].values[v]) : 0;
      }
    }
  }
  Vector<Element, kVector> values;
  for (int v = 0; v < kVector; ++v) values.values[v] = from_arithmetic<Element>(sums[v]);
  store(dx + images.input(place.image, place.row, place.column) + place.channel, values);
}

/// Where windows do not overlap: a thread for each output, which writes all inputs of its cell.
template <int kVector, typename Element>
__global__ void __launch_bounds__(kThreads)
    scatter_kernel(Images images, const Element* dy, const std::uint8_t* index, Element* dx) {
  const Axis rows = images.rows;
  const Axis columns = images.columns;
  const Place<kVector> place(rows.outputs, columns.outputs, images.channels);
  if (place.image >= images.count) return;
  const std::int32_t offset = images.output(place.image, place.row, place.column) + place.channel;
  const auto gradients = load<kVector>(dy + offset);
  const auto chosen = load<kVector>(index + offset);
  const Axis::Range row_range = rows.cell(place.row);
  const Axis::Range column_range = columns.cell(place.column);
  for (std::int32_t row = row_range.begin; row < row_range.end; ++row) {
    const std::int32_t k_row = row - rows.window_begin(place.row);
    for (std::int32_t column = column_range.begin; column < column_range.end; ++column) {
      const std::int32_t k_column = column - columns.window_begin(place.column);
      const bool within = (k_row < rows.kernel) & (k_column < columns.kernel);
      const int k = within ? k_row * columns.kernel + k_column : -1;  // -1: in the gap
      Vector<Element, kVector> values;
      for (int v = 0; v < kVector; ++v) values.values[v] = chosen.values[v] == k ? gradients.values[v] : Element{};
      store(dx + images.input(place.image, row, column) + place.channel, values);
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
auto backward_kernel_for(std::int64_t cover) {
  return cover == 1   ? scatter_kernel<kVector, Element>
         : cover == 2 ? gather_kernel<kVector, 2, Element>
                      : gather_kernel<kVector, 0, Element>;
}

template <int kVector>
bool is_wide(const PoolShape& shape, const void* a, const void* b, const std::uint8_t* index) {
  return shape.channels % kVector == 0 && is_aligned(a) && is_aligned(b) &&
         reinterpret_cast<std::uintptr_t>(index) % kVector == 0;
}

/// Calls `work` with the images of each launch and how many inputs and outputs come before them.
template <typename Work>
void for_each_launch(const PoolShape& shape, const Work& work) {
  const auto& [batch, channels, rows, columns] = shape;
  const std::int64_t inputs = rows.size * columns.size * channels;
  const std::int64_t outputs = rows.outputs * columns.outputs * channels;
  if (inputs == 0) return;
  if (inputs > kMostPoolImage)
    throw InternalError("max_pool_relu of images of " + std::to_string(inputs) + " elements");
  const auto narrow = [](const PoolAxis& axis) {
    return Axis{static_cast<std::int32_t>(axis.size), static_cast<std::int32_t>(axis.outputs), axis.kernel, axis.stride,
                axis.padding};
  };
  const std::int64_t at_once = inputs < LOCKSTEP_LAUNCH_ELEMENTS ? LOCKSTEP_LAUNCH_ELEMENTS / inputs : 1;
  for (std::int64_t image = 0; image < batch; image += at_once) {
    const std::int64_t count = batch - image < at_once ? batch - image : at_once;
    work(Images{static_cast<std::int32_t>(count), static_cast<std::int32_t>(channels), narrow(rows), narrow(columns)},
         image * inputs, image * outputs);
  }
}

}  // namespace

template <typename Element>
void max_pool_relu(const MaxPoolReluForward<Element>& args, Stream stream) {
  constexpr int kVector = kVectorLength<Element>;
  const auto& [batch, channels, rows, columns] = args.shape;
  const bool wide = is_wide<kVector>(args.shape, args.x, args.y, args.index);
  const auto kernel =
      wide ? forward_kernel_for<kVector, Element>(args.shape) : forward_kernel_for<1, Element>(args.shape);
  const std::int64_t threads = rows.outputs * columns.outputs * (channels / (wide ? kVector : 1));  // an image's
  for_each_launch(args.shape, [&](const Images& images, std::int64_t inputs, std::int64_t outputs) {
    launch("max_pool_relu", kernel, divide_up(images.count * threads, kThreads), kThreads, stream, images,
           args.x + inputs, args.y + outputs, args.index + outputs, args.relu);
  });
}

template <typename Element>
void max_pool_relu_backward(const MaxPoolReluBackward<Element>& args, Stream stream) {
  constexpr int kVector = kVectorLength<Element>;
  const auto& [batch, channels, rows, columns] = args.shape;
  const bool wide = is_wide<kVector>(args.shape, args.dy, args.dx, args.index);
  const auto covers = [](const PoolAxis& axis) { return divide_up(axis.kernel, axis.stride); };
  const std::int64_t cover = covers(rows) > covers(columns) ? covers(rows) : covers(columns);
  const auto kernel = wide ? backward_kernel_for<kVector, Element>(cover) : backward_kernel_for<1, Element>(cover);
  const std::int64_t places = cover > 1 ? rows.size * columns.size : rows.outputs * columns.outputs;
  const std::int64_t threads = places * (channels / (wide ? kVector : 1));  // an image's
  for_each_launch(args.shape, [&](const Images& images, std::int64_t inputs, std::int64_t outputs) {
    launch("max_pool_relu_backward", kernel, divide_up(images.count * threads, kThreads), kThreads, stream, images,
           args.dy + outputs, args.index + outputs, args.dx + inputs);
  });
}

#define LOCKSTEP_INSTANTIATE(Element)                                      \
  template void max_pool_relu(const MaxPoolReluForward<Element>&, Stream); \
  template void max_pool_relu_backward(const MaxPoolReluBackward<Element>&, Stream);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)

}  // namespace lockstep::kernels
