#include "kernels/max_pool_relu/MaxPoolRelu.h"

#include <algorithm>
#include <vector>

#include "kernels/CpuElements.h"

namespace lockstep::kernels {

namespace {

// Channels that general windows are handled by at a time, in arrays that stay in registers or the first-level cache.
constexpr std::int64_t kTile = 64;

template <typename Real>
LOCKSTEP_INLINE void consider(Real value, int k, Real& best, int& index) {
  const bool better = value > best || value != value;
  best = better ? value : best;
  index = better ? k : index;
}

template <bool kRelu, typename Element>
LOCKSTEP_INLINE void finish(Arithmetic<Element> best, int index, Element& y, std::uint8_t& chosen) {
  const bool none = kRelu && best <= 0;
  y = from_arithmetic<Element>(none ? 0 : best);
  chosen = static_cast<std::uint8_t>(none ? kNoMaximum : index);
}

/// A whole window of kSide x kSide.
template <int kSide, bool kRelu, typename Element>
LOCKSTEP_INLINE void pool_square(const Element* __restrict x, std::int64_t row_stride, std::int64_t channels,
                                 Element* __restrict y, std::uint8_t* __restrict chosen) {
  for (std::int64_t c = 0; c < channels; ++c) {
    Arithmetic<Element> best = to_arithmetic(x[c]);
    int index = 0;
#pragma GCC unroll 9
    for (int k = 1; k < kSide * kSide; ++k) {
      consider(to_arithmetic(x[k / kSide * row_stride + k % kSide * channels + c]), k, best, index);
    }
    finish<kRelu>(best, index, y[c], chosen[c]);
  }
}

template <bool kRelu, typename Element>
LOCKSTEP_INLINE void pool_any(const MaxPoolReluForward<Element>& args, const Element* image, std::int64_t out_row,
                              std::int64_t out_column, Element* y, std::uint8_t* chosen) {
  const auto& [batch, channels, rows, columns] = args.shape;
  const PoolAxis::Range row_range = rows.window(out_row);
  const PoolAxis::Range column_range = columns.window(out_column);
  for (std::int64_t first = 0; first < channels; first += kTile) {
    const std::int64_t n = std::min(kTile, channels - first);
    Arithmetic<Element> best[kTile];
    int index[kTile];
    for (std::int64_t row = row_range.begin; row < row_range.end; ++row) {
      for (std::int64_t column = column_range.begin; column < column_range.end; ++column) {
        const auto k = static_cast<int>((row - rows.window_begin(out_row)) * columns.kernel + column -
                                        columns.window_begin(out_column));
        const Element* x = image + (row * columns.size + column) * channels + first;
        if (row == row_range.begin && column == column_range.begin) {
          for (std::int64_t c = 0; c < n; ++c) {
            best[c] = to_arithmetic(x[c]);
            index[c] = k;
          }
        } else {
          for (std::int64_t c = 0; c < n; ++c) consider(to_arithmetic(x[c]), k, best[c], index[c]);
        }
      }
    }
    for (std::int64_t c = 0; c < n; ++c) finish<kRelu>(best[c], index[c], y[first + c], chosen[first + c]);
  }
}

/// One row of one image's output.
template <bool kRelu, typename Element>
LOCKSTEP_INLINE void forward(const MaxPoolReluForward<Element>& args, std::int64_t image, std::int64_t out_row) {
  const auto& [batch, channels, rows, columns] = args.shape;
  const std::int64_t row_stride = columns.size * channels;
  const Element* x = args.x + image * rows.size * row_stride;
  const std::int64_t top = rows.window_begin(out_row);
  const bool whole_rows = top >= 0 && top + rows.kernel <= rows.size;
  const std::int64_t out_begin = (image * rows.outputs + out_row) * columns.outputs;
  for (std::int64_t out_column = 0; out_column < columns.outputs; ++out_column) {
    Element* y = args.y + (out_begin + out_column) * channels;
    std::uint8_t* chosen = args.index + (out_begin + out_column) * channels;
    const std::int64_t left = columns.window_begin(out_column);
    const bool whole = whole_rows && left >= 0 && left + columns.kernel <= columns.size;
    const Element* corner = x + top * row_stride + left * channels;
    if (whole && rows.kernel == 2 && columns.kernel == 2) {
      pool_square<2, kRelu>(corner, row_stride, channels, y, chosen);
    } else if (whole && rows.kernel == 3 && columns.kernel == 3) {
      pool_square<3, kRelu>(corner, row_stride, channels, y, chosen);
    } else {
      pool_any<kRelu>(args, x, out_row, out_column, y, chosen);
    }
  }
}

// The value or 0. Of 16-bit types by a mask: GCC makes branches of a choice between structs.
template <typename Element>
LOCKSTEP_INLINE Element value_if(bool wanted, Element value) {
  if constexpr (sizeof(Element) == 2) {
    return {static_cast<std::uint16_t>(value.bits & -static_cast<int>(wanted))};
  } else {
    return wanted ? value : 0;
  }
}

/// One row of one image's input. `windows`: of each column.
template <typename Element>
LOCKSTEP_INLINE void backward(const MaxPoolReluBackward<Element>& args, const PoolAxis::Range* windows,
                              std::int64_t image, std::int64_t row) {
  const auto& [batch, channels, rows, columns] = args.shape;
  const PoolAxis::Range out_rows = rows.windows(row);
  for (std::int64_t column = 0; column < columns.size; ++column) {
    const PoolAxis::Range out_columns = windows[column];
    const std::int64_t count = (out_rows.end - out_rows.begin) * (out_columns.end - out_columns.begin);
    const auto offset_of = [&](std::int64_t out_row, std::int64_t out_column) {
      return ((image * rows.outputs + out_row) * columns.outputs + out_column) * channels;
    };
    const auto place_in = [&](std::int64_t out_row, std::int64_t out_column) {
      return static_cast<std::uint8_t>((row - rows.window_begin(out_row)) * columns.kernel + column -
                                       columns.window_begin(out_column));
    };
    Element* __restrict dx = args.dx + ((image * rows.size + row) * columns.size + column) * channels;
    if (count == 1) {
      const std::int64_t offset = offset_of(out_rows.begin, out_columns.begin);
      const std::uint8_t place = place_in(out_rows.begin, out_columns.begin);
      const Element* __restrict dy = args.dy + offset;
      const std::uint8_t* __restrict index = args.index + offset;
      for (std::int64_t c = 0; c < channels; ++c) dx[c] = value_if(index[c] == place, dy[c]);
      continue;
    }
    for (std::int64_t first = 0; first < channels; first += kTile) {
      const std::int64_t n = std::min(kTile, channels - first);
      Arithmetic<Element> sums[kTile] = {};
      for (std::int64_t out_row = out_rows.begin; out_row < out_rows.end; ++out_row) {
        for (std::int64_t out_column = out_columns.begin; out_column < out_columns.end; ++out_column) {
          const std::int64_t offset = offset_of(out_row, out_column) + first;
          const std::uint8_t place = place_in(out_row, out_column);
          const Element* __restrict dy = args.dy + offset;
          const std::uint8_t* __restrict index = args.index + offset;
          for (std::int64_t c = 0; c < n; ++c) sums[c] += index[c] == place ? to_arithmetic(dy[c]) : 0;
        }
      }
      for (std::int64_t c = 0; c < n; ++c) dx[first + c] = from_arithmetic<Element>(sums[c]);
    }
  }
}

#define LOCKSTEP_ROW(Element)                                                                                       \
  LOCKSTEP_MULTIVERSION void forward_row(const MaxPoolReluForward<Element>& args, std::int64_t image,               \
                                         std::int64_t out_row) {                                                    \
    args.relu ? forward<true>(args, image, out_row) : forward<false>(args, image, out_row);                         \
  }                                                                                                                 \
  LOCKSTEP_MULTIVERSION void backward_row(const MaxPoolReluBackward<Element>& args, const PoolAxis::Range* windows, \
                                          std::int64_t image, std::int64_t row) {                                   \
    backward(args, windows, image, row);                                                                            \
  }
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_ROW)
#undef LOCKSTEP_ROW

}  // namespace

template <typename Element>
void max_pool_relu(const MaxPoolReluForward<Element>& args) {
  const std::int64_t outputs = args.shape.rows.outputs;
#pragma omp parallel for schedule( \
    static) if (args.shape.batch * outputs * args.shape.columns.outputs * args.shape.channels > kSerialElements)
  for (std::int64_t row = 0; row < args.shape.batch * outputs; ++row) forward_row(args, row / outputs, row % outputs);
}

template <typename Element>
void max_pool_relu_backward(const MaxPoolReluBackward<Element>& args) {
  const auto& [batch, channels, rows, columns] = args.shape;
  std::vector<PoolAxis::Range> windows;
  for (std::int64_t column = 0; column < columns.size; ++column) windows.push_back(columns.windows(column));
  const std::int64_t size = rows.size;
#pragma omp parallel for schedule(static) if (batch * size * columns.size * channels > kSerialElements)
  for (std::int64_t row = 0; row < batch * size; ++row) backward_row(args, windows.data(), row / size, row % size);
}

#define LOCKSTEP_INSTANTIATE(Element)                              \
  template void max_pool_relu(const MaxPoolReluForward<Element>&); \
  template void max_pool_relu_backward(const MaxPoolReluBackward<Element>&);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels
