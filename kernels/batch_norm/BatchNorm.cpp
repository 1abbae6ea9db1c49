#include "kernels/batch_norm/BatchNorm.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/CpuColumnSum.h"
#include "kernels/CpuElements.h"

namespace lockstep::kernels {

namespace {

/// Mean of each column of a chunk, and the sum of the squared differences from it. `shifts`: a row to work in.
template <typename Element>
LOCKSTEP_INLINE void statistics_of_chunk(const Element* x, std::int64_t rows, std::int64_t columns,
                                         Arithmetic<Element>* means, Arithmetic<Element>* squares,
                                         Arithmetic<Element>* shifts) {
  using Real = Arithmetic<Element>;
  const auto count = static_cast<Real>(rows);
  std::fill_n(means, columns, Real(0));
  std::fill_n(squares, columns, Real(0));
  std::fill_n(shifts, columns, Real(0));
  for (std::int64_t row = 0; row < rows; ++row) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < columns; ++i) means[i] += to_arithmetic(x[row * columns + i]);
  }
  for (std::int64_t i = 0; i < columns; ++i) means[i] /= count;
  for (std::int64_t row = 0; row < rows; ++row) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < columns; ++i) {
      const Real difference = to_arithmetic(x[row * columns + i]) - means[i];
      shifts[i] += difference;
      squares[i] += difference * difference;
    }
  }
  for (std::int64_t i = 0; i < columns; ++i) {
    const Real shift = shifts[i] / count;
    means[i] += shift;
    squares[i] -= shifts[i] * shift;
  }
}

/// How each column is normalised: in backward to the same bits as in forward, so that ReLU finds the same signs.
template <typename Real>
struct Affine {
  const Real* mean;
  const Real* scale;
  const Real* bias;

  LOCKSTEP_INLINE Real of(Real difference, std::int64_t column) const {
    return difference * scale[column] + bias[column];
  }
};

template <bool kResidual, bool kRelu, typename Element>
LOCKSTEP_INLINE void normalise(const BatchNormForward<Element>& args, const Affine<Arithmetic<Element>>& affine,
                               std::int64_t begin, std::int64_t end) {
  using Real = Arithmetic<Element>;
  for (std::int64_t row = begin; row < end; ++row) {
    const Element* x = args.x + row * args.columns;
    const Element* residual = kResidual ? args.residual + row * args.columns : nullptr;
    Element* y = args.y + row * args.columns;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < args.columns; ++i) {
      Real value = affine.of(to_arithmetic(x[i]) - affine.mean[i], i);
      if constexpr (kResidual) value += to_arithmetic(residual[i]);
      if constexpr (kRelu) value = value < 0 ? 0 : value;
      y[i] = from_arithmetic<Element>(value);
    }
  }
}

template <typename Element>
LOCKSTEP_INLINE void forward(const BatchNormForward<Element>& args, const Affine<Arithmetic<Element>>& affine,
                             std::int64_t begin, std::int64_t end) {
  if (args.residual != nullptr) {
    args.relu ? normalise<true, true>(args, affine, begin, end) : normalise<true, false>(args, affine, begin, end);
  } else {
    args.relu ? normalise<false, true>(args, affine, begin, end) : normalise<false, false>(args, affine, begin, end);
  }
}

/// Sums over a chunk of g and of g · (x - mean); writes dresidual.
template <bool kResidual, bool kRelu, typename Element>
LOCKSTEP_INLINE void gradient_sums(const BatchNormBackward<Element>& args, const Affine<Arithmetic<Element>>& affine,
                                   std::int64_t begin, std::int64_t end, Arithmetic<Element>* gradients,
                                   Arithmetic<Element>* products) {
  using Real = Arithmetic<Element>;
  std::fill_n(gradients, args.columns, Real(0));
  std::fill_n(products, args.columns, Real(0));
  for (std::int64_t row = begin; row < end; ++row) {
    const Element* dy = args.dy + row * args.columns;
    const Element* x = args.x + row * args.columns;
    const Element* y = kRelu && kResidual ? args.y + row * args.columns : nullptr;
    Element* dresidual = kResidual ? args.dresidual + row * args.columns : nullptr;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < args.columns; ++i) {
      const Real difference = to_arithmetic(x[i]) - affine.mean[i];
      Real gradient = to_arithmetic(dy[i]);
      if constexpr (kRelu) gradient = (kResidual ? to_arithmetic(y[i]) : affine.of(difference, i)) <= 0 ? 0 : gradient;
      if constexpr (kResidual) dresidual[i] = from_arithmetic<Element>(gradient);
      gradients[i] += gradient;
      products[i] += gradient * difference;
    }
  }
}

/// Of a column, in dx = scale · (g - mean - (x - the mean of x) · slope).
template <typename Real>
struct Slopes {
  const Real* mean;
  const Real* slope;
};

template <bool kResidual, bool kRelu, typename Element>
LOCKSTEP_INLINE void input_gradient(const BatchNormBackward<Element>& args, const Affine<Arithmetic<Element>>& affine,
                                    const Slopes<Arithmetic<Element>>& slopes, std::int64_t begin, std::int64_t end) {
  using Real = Arithmetic<Element>;
  for (std::int64_t row = begin; row < end; ++row) {
    const Element* dy = (kResidual ? args.dresidual : args.dy) + row * args.columns;
    const Element* x = args.x + row * args.columns;
    Element* dx = args.dx + row * args.columns;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < args.columns; ++i) {
      const Real difference = to_arithmetic(x[i]) - affine.mean[i];
      Real gradient = to_arithmetic(dy[i]);
      if constexpr (kRelu && !kResidual) gradient = affine.of(difference, i) <= 0 ? 0 : gradient;
      dx[i] = from_arithmetic<Element>(affine.scale[i] * (gradient - slopes.mean[i] - difference * slopes.slope[i]));
    }
  }
}

#define LOCKSTEP_CHUNK(Element)                                                                              \
  LOCKSTEP_MULTIVERSION void chunk_statistics(const Element* x, std::int64_t rows, std::int64_t columns,     \
                                              Arithmetic<Element>* means, Arithmetic<Element>* squares,      \
                                              Arithmetic<Element>* shifts) {                                 \
    statistics_of_chunk(x, rows, columns, means, squares, shifts);                                           \
  }                                                                                                          \
  LOCKSTEP_MULTIVERSION void chunk_forward(const BatchNormForward<Element>& args,                            \
                                           const Affine<Arithmetic<Element>>& affine, std::int64_t begin,    \
                                           std::int64_t end) {                                               \
    forward(args, affine, begin, end);                                                                       \
  }                                                                                                          \
  LOCKSTEP_MULTIVERSION void chunk_gradient_sums(                                                            \
      const BatchNormBackward<Element>& args, const Affine<Arithmetic<Element>>& affine, std::int64_t begin, \
      std::int64_t end, Arithmetic<Element>* gradients, Arithmetic<Element>* products) {                     \
    if (args.dresidual != nullptr) {                                                                         \
      args.relu ? gradient_sums<true, true>(args, affine, begin, end, gradients, products)                   \
                : gradient_sums<true, false>(args, affine, begin, end, gradients, products);                 \
    } else {                                                                                                 \
      args.relu ? gradient_sums<false, true>(args, affine, begin, end, gradients, products)                  \
                : gradient_sums<false, false>(args, affine, begin, end, gradients, products);                \
    }                                                                                                        \
  }                                                                                                          \
  LOCKSTEP_MULTIVERSION void chunk_input_gradient(                                                           \
      const BatchNormBackward<Element>& args, const Affine<Arithmetic<Element>>& affine,                     \
      const Slopes<Arithmetic<Element>>& slopes, std::int64_t begin, std::int64_t end) {                     \
    if (args.dresidual != nullptr) {                                                                         \
      input_gradient<true, true>(args, affine, slopes, begin, end);                                          \
    } else {                                                                                                 \
      args.relu ? input_gradient<false, true>(args, affine, slopes, begin, end)                              \
                : input_gradient<false, false>(args, affine, slopes, begin, end);                            \
    }                                                                                                        \
  }
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_CHUNK)
#undef LOCKSTEP_CHUNK

/// A workspace's parts: three rows of sums for each chunk, and three numbers for each column.
template <typename Real>
struct Parts {
  Parts(Real* workspace, std::int64_t rows, std::int64_t columns)
      : first(workspace),
        second(first + column_sum_workspace(rows, columns)),
        third(second + column_sum_workspace(rows, columns)),
        scale(third + column_sum_workspace(rows, columns)),
        bias(scale + columns),
        slope(bias + columns) {}
  Real* first;
  Real* second;
  Real* third;
  Real* scale;
  Real* bias;
  Real* slope;
};

// Columns whose chunks are combined together, so that whole lines of memory are read.
constexpr std::int64_t kBlock = 64;

template <typename Work>
void for_each_column_block(std::int64_t columns, const Work& work) {
  for (std::int64_t first = 0; first < columns; first += kBlock) work(first, std::min(kBlock, columns - first));
}

/// scale = rstd · weight, and the bias, 0 where there is none.
template <typename Args, typename Real>
void write_affine(const Args& args, const Parts<Real>& parts) {
  for (std::int64_t i = 0; i < args.columns; ++i) {
    parts.scale[i] = args.rstd[i] * (args.weight != nullptr ? args.weight[i] : 1);
    parts.bias[i] = args.bias != nullptr ? args.bias[i] : 0;
  }
}

}  // namespace

template <typename Element>
void batch_norm(const BatchNormForward<Element>& args) {
  using Real = Arithmetic<Element>;
  const std::int64_t rows = args.rows;
  const std::int64_t columns = args.columns;
  const Parts<Real> parts(args.workspace, rows, columns);
  for_each_row_chunk(rows, columns, [&](std::int64_t chunk, std::int64_t begin, std::int64_t end) {
    chunk_statistics(args.x + begin * columns, end - begin, columns, parts.first + chunk * columns,
                     parts.second + chunk * columns, parts.third + chunk * columns);
  });
  const auto count = static_cast<double>(rows);
  const auto rows_of = [&](std::int64_t chunk) {
    return static_cast<double>(std::min(rows_per_chunk(rows), rows - chunk * rows_per_chunk(rows)));
  };
  const auto update = [&](Real* running, std::int64_t i, double found) {
    if (running != nullptr) running[i] = static_cast<Real>((1 - args.momentum) * running[i] + args.momentum * found);
  };
  for_each_column_block(columns, [&](std::int64_t first, std::int64_t width) {
    double means[kBlock] = {};
    double squares[kBlock] = {};
    for (std::int64_t chunk = 0; chunk < row_chunks(rows); ++chunk) {
      const Real* const found = parts.first + chunk * columns + first;
      const double here = rows_of(chunk);
      for (std::int64_t i = 0; i < width; ++i) means[i] += found[i] * here;
    }
    for (std::int64_t i = 0; i < width; ++i) means[i] /= count;
    for (std::int64_t chunk = 0; chunk < row_chunks(rows); ++chunk) {
      const std::int64_t begin = chunk * columns + first;
      const double here = rows_of(chunk);
      for (std::int64_t i = 0; i < width; ++i) {
        const double difference = parts.first[begin + i] - means[i];
        squares[i] += parts.second[begin + i] + here * difference * difference;
      }
    }
    for (std::int64_t i = 0; i < width; ++i) {
      args.mean[first + i] = static_cast<Real>(means[i]);
      args.rstd[first + i] = static_cast<Real>(1 / std::sqrt(squares[i] / count + args.epsilon));
      update(args.running_mean, first + i, means[i]);
      update(args.running_variance, first + i, squares[i] / (count - 1));
    }
  });
  write_affine(args, parts);
  const Affine<Real> affine{.mean = args.mean, .scale = parts.scale, .bias = parts.bias};
  for_each_row_chunk(rows, columns, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    chunk_forward(args, affine, begin, end);
  });
}

template <typename Element>
void batch_norm_backward(const BatchNormBackward<Element>& args) {
  using Real = Arithmetic<Element>;
  const std::int64_t rows = args.rows;
  const std::int64_t columns = args.columns;
  const Parts<Real> parts(args.workspace, rows, columns);
  write_affine(args, parts);
  const Affine<Real> affine{.mean = args.mean, .scale = parts.scale, .bias = parts.bias};
  for_each_row_chunk(rows, columns, [&](std::int64_t chunk, std::int64_t begin, std::int64_t end) {
    chunk_gradient_sums(args, affine, begin, end, parts.first + chunk * columns, parts.second + chunk * columns);
  });
  Real* const mean = parts.third;
  for_each_column_block(columns, [&](std::int64_t first, std::int64_t width) {
    double gradients[kBlock] = {};
    double products[kBlock] = {};
    for (std::int64_t chunk = 0; chunk < row_chunks(rows); ++chunk) {
      const std::int64_t begin = chunk * columns + first;
      for (std::int64_t i = 0; i < width; ++i) {
        gradients[i] += parts.first[begin + i];
        products[i] += parts.second[begin + i];
      }
    }
    for (std::int64_t i = 0; i < width; ++i) {
      const double product = products[i] * args.rstd[first + i];
      args.bias_gradient[first + i] = static_cast<Real>(gradients[i]);
      args.weight_gradient[first + i] = static_cast<Real>(product);
      mean[first + i] = static_cast<Real>(gradients[i] / static_cast<double>(rows));
      parts.slope[first + i] = static_cast<Real>(args.rstd[first + i] * product / static_cast<double>(rows));
    }
  });
  const Slopes<Real> slopes{.mean = mean, .slope = parts.slope};
  for_each_row_chunk(rows, columns, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    chunk_input_gradient(args, affine, slopes, begin, end);
  });
}

#define LOCKSTEP_INSTANTIATE(Element)                         \
  template void batch_norm(const BatchNormForward<Element>&); \
  template void batch_norm_backward(const BatchNormBackward<Element>&);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels
