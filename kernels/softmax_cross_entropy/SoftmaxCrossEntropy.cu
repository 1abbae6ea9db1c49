#include "kernels/softmax_cross_entropy/SoftmaxCrossEntropy.h"

#include <limits>

#include "kernels/Cuda.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

constexpr int kThreads = 256;
// A row of up to so many classes is one warp's.
constexpr std::int64_t kMostWarpClasses = 1024;
// 16-byte loads that a thread has in flight.
constexpr int kBatch = 4;
// Blocks that a multiprocessor's registers must have room for: as many as can be without spilling any.
template <bool kSmooth, typename Element>
constexpr int kResidentBlocks = sizeof(Element) == 8 ? 2
                                : kSmooth            ? 3
                                                     : 4;

// As exact as what comes of it: a float32 of its own, or a 16-bit float.
template <typename Element>
__device__ Arithmetic<Element> exponential(Arithmetic<Element> x) {
  if constexpr (sizeof(Element) == 2) {
    return __expf(x);
  } else {
    return exp(x);
  }
}

// What the kernels take of label smoothing, and Σ w_c where that has to be added up first.
template <typename Real>
struct Smoothing {
  Real kept;   // 1 - ε
  Real share;  // ε / C
  const Real* weight_sum;
};

template <typename Args>
__device__ bool is_class(const Args& args, std::int64_t label) {
  return label >= 0 && label < args.classes;
}

// w_y: 0 for an ignored row, NaN for a label that is no class.
template <typename Real, typename Args>
__device__ Real label_weight(const Args& args, std::int64_t label) {
  if (label == args.ignore_index) return 0;
  if (!is_class(args, label)) return static_cast<Real>(NAN);
  return args.weights != nullptr ? args.weights[label] : 1;
}

// s
template <typename Real, typename Args>
__device__ Real row_weight(const Args& args, std::int64_t row) {
  return args.row_weights != nullptr ? args.row_weights[row] : 1;
}

// Σ w_c
template <typename Real, typename Args>
__device__ Real all_weights(const Args& args, const Smoothing<Real>& smoothing) {
  return args.weights != nullptr ? *smoothing.weight_sum : static_cast<Real>(args.classes);
}

// How kGroup threads share a row: single elements up to the first multiple of 16 bytes, then vectors, then the rest.
template <int kGroup, typename Element>
struct RowParts {
  static constexpr int kVector = kVectorLength<Element>;
  std::int64_t row;
  int lane;
  std::int64_t head, vectors, tail;  // `head` and `tail` are less than kVector

  __device__ RowParts(const Element* logits, std::int64_t classes)
      : row(static_cast<std::int64_t>(blockIdx.x) * (kThreads / kGroup) + threadIdx.x / kGroup),
        lane(static_cast<int>(threadIdx.x) % kGroup) {
    const auto past = static_cast<int>(reinterpret_cast<std::uintptr_t>(logits + row * classes) % 16);
    head = past == 0 ? 0 : (16 - past) / static_cast<int>(sizeof(Element));
    if (head > classes) head = classes;
    vectors = (classes - head) / kVector;
    tail = (classes - head) % kVector;
  }
};

// Σ exp(x - maximum) of what a thread, then a row, has seen, and Σ w (origin - x).
template <typename Real>
struct RowSums {
  // Not -∞, so that a difference from it is a number; a row whose sum stays 0 held nothing but -∞. A NaN is lost for
  // the maximum, but not for the sum.
  Real maximum = std::numeric_limits<Real>::lowest();
  Real exponentials = 0;
  Real distances = 0;
};

template <bool kSmooth, typename Element, int kLength>
__device__ void add(RowSums<Arithmetic<Element>>& sums, const Vector<Element, kLength>& x, Arithmetic<Element> origin,
                    const Arithmetic<Element>* weights) {
  using Real = Arithmetic<Element>;
  Real largest = sums.maximum;
  for (int i = 0; i < kLength; ++i) largest = fmax(largest, to_arithmetic(x.values[i]));
  if (largest > sums.maximum) {
    sums.exponentials *= exponential<Element>(sums.maximum - largest);
    sums.maximum = largest;
  }
  for (int i = 0; i < kLength; ++i) {
    const Real value = to_arithmetic(x.values[i]);
    sums.exponentials += exponential<Element>(value - largest);
    if constexpr (kSmooth) sums.distances += (weights != nullptr ? weights[i] : 1) * (origin - value);
  }
}

// The sums of a warp, or, with kGroup = kThreads, of the block, in every thread. All threads of it must call it, once.
template <bool kSmooth, int kGroup, typename Real>
__device__ RowSums<Real> combine(const RowSums<Real>& own) {
  RowSums<Real> all;
  all.maximum = warp_max(own.maximum);
  all.exponentials = warp_sum(own.exponentials * exp(own.maximum - all.maximum));
  if constexpr (kSmooth) all.distances = warp_sum(own.distances);
  if constexpr (kGroup > kWarp) {
    constexpr int kWarps = kGroup / kWarp;
    LOCKSTEP_SHARED(Real, maxima, kWarps);
    LOCKSTEP_SHARED(Real, exponentials, kWarps);
    LOCKSTEP_SHARED(Real, distances, kWarps);
    if (threadIdx.x % kWarp == 0) {
      maxima[threadIdx.x / kWarp] = all.maximum;
      exponentials[threadIdx.x / kWarp] = all.exponentials;
      distances[threadIdx.x / kWarp] = all.distances;
    }
    __syncthreads();
    all = {};
    for (int warp = 0; warp < kWarps; ++warp) all.maximum = fmax(all.maximum, static_cast<Real>(maxima[warp]));
    for (int warp = 0; warp < kWarps; ++warp) {
      all.exponentials += exponentials[warp] * exp(maxima[warp] - all.maximum);
      all.distances += distances[warp];
    }
  }
  return all;
}

template <bool kSmooth, int kGroup, typename Element>
__global__ void __launch_bounds__(kThreads, kResidentBlocks<kSmooth, Element>)
    forward_kernel(SoftmaxCrossEntropyForward<Element> args, Smoothing<Arithmetic<Element>> smoothing) {
  using Real = Arithmetic<Element>;
  const RowParts<kGroup, Element> parts(args.logits, args.classes);
  constexpr int kVector = parts.kVector;
  if (parts.row >= args.rows) return;  // a whole warp; with blocks for rows there is none
  const Element* x = args.logits + parts.row * args.classes;
  const std::int64_t label = args.labels[parts.row];
  const Real label_logit = is_class(args, label) ? to_arithmetic(x[label]) : 0;
  // Distances from x_y, or from 0: what all logits have in common does not cost accuracy.
  const Real origin = isfinite(label_logit) ? label_logit : 0;
  const auto weights_from = [&](std::int64_t c) { return args.weights != nullptr ? args.weights + c : nullptr; };
  RowSums<Real> sums;
  if (parts.lane < parts.head) add<kSmooth>(sums, load<1>(x + parts.lane), origin, weights_from(parts.lane));
  for (std::int64_t first = parts.lane; first < parts.vectors; first += kBatch * kGroup) {
    Vector<Element, kVector> batch[kBatch];
    for (int k = 0; k < kBatch; ++k) {
      const std::int64_t v = first + k * kGroup;
      if (v < parts.vectors) batch[k] = load<kVector>(x + parts.head + v * kVector);
    }
    for (int k = 0; k < kBatch; ++k) {
      const std::int64_t v = first + k * kGroup;
      if (v < parts.vectors) add<kSmooth>(sums, batch[k], origin, weights_from(parts.head + v * kVector));
    }
  }
  if (parts.lane < parts.tail) {
    const std::int64_t c = args.classes - parts.tail + parts.lane;
    add<kSmooth>(sums, load<1>(x + c), origin, weights_from(c));
  }
  sums = combine<kSmooth, kGroup>(sums);
  if (parts.lane != 0) return;
  const Real logarithm = sums.exponentials == 0 ? static_cast<Real>(NAN) : log(sums.exponentials);
  args.log_sum_exp[parts.row] = sums.maximum + logarithm;
  Real loss = 0;
  if (label != args.ignore_index) {
    loss = label_weight<Real>(args, label) * (sums.maximum - label_logit + logarithm);
    if constexpr (kSmooth) {
      const Real spread = all_weights(args, smoothing) * (sums.maximum - origin + logarithm) + sums.distances;
      loss = smoothing.kept * loss + smoothing.share * spread;
    }
    loss *= row_weight<Real>(args, parts.row);
  }
  args.loss[parts.row] = loss;
}

// Row r's gradients: of_probability · p_c - share · w_c, less `target` for the label.
template <typename Real>
struct RowGradient {
  Real log_sum_exp, of_probability, share, target;
};

template <bool kSmooth, typename Element, int kLength>
__device__ void differentiate(const RowGradient<Arithmetic<Element>>& row, Vector<Element, kLength>& x, std::int64_t c,
                              std::int64_t label, const Arithmetic<Element>* weights) {
  using Real = Arithmetic<Element>;
  Real gradients[kLength];
  for (int i = 0; i < kLength; ++i) {
    gradients[i] = row.of_probability * exponential<Element>(to_arithmetic(x.values[i]) - row.log_sum_exp);
    if constexpr (kSmooth) gradients[i] -= row.share * (weights != nullptr ? weights[c + i] : 1);
  }
  if (label >= c && label < c + kLength) {
    for (int i = 0; i < kLength; ++i) gradients[i] -= label == c + i ? row.target : 0;
  }
  for (int i = 0; i < kLength; ++i) x.values[i] = from_arithmetic<Element>(gradients[i]);
}

template <bool kSmooth, int kGroup, typename Element>
__global__ void __launch_bounds__(kThreads, kResidentBlocks<kSmooth, Element>)
    backward_kernel(SoftmaxCrossEntropyBackward<Element> args, Smoothing<Arithmetic<Element>> smoothing) {
  using Real = Arithmetic<Element>;
  const RowParts<kGroup, Element> parts(args.logits, args.classes);
  constexpr int kVector = parts.kVector;
  if (parts.row >= args.rows) return;
  const Element* x = args.logits + parts.row * args.classes;
  Element* dx = args.dlogits + parts.row * args.classes;
  const std::int64_t label = args.labels[parts.row];
  const bool ignored = label == args.ignore_index;
  RowGradient<Real> gradient{args.log_sum_exp[parts.row], 0, 0, 0};
  if (ignored) {
    gradient.log_sum_exp -= gradient.log_sum_exp;  // 0 or NaN: so will be the gradients, and no logit is read
  } else {
    const Real scale = *args.scale * row_weight<Real>(args, parts.row);
    gradient.target = scale * smoothing.kept * label_weight<Real>(args, label);
    gradient.of_probability = gradient.target;
    if constexpr (kSmooth) {
      gradient.share = scale * smoothing.share;
      gradient.of_probability += gradient.share * all_weights(args, smoothing);
    }
  }
  const bool wide_stores = (reinterpret_cast<std::uintptr_t>(x) - reinterpret_cast<std::uintptr_t>(dx)) % 16 == 0;
  const auto single = [&](std::int64_t c) {
    Vector<Element, 1> value{};
    if (!ignored) value = load<1>(x + c);
    differentiate<kSmooth>(gradient, value, c, label, args.weights);
    store(dx + c, value);
  };
  if (parts.lane < parts.head) single(parts.lane);
  for (std::int64_t first = parts.lane; first < parts.vectors; first += kBatch * kGroup) {
    Vector<Element, kVector> batch[kBatch] = {};
    for (int k = 0; k < kBatch; ++k) {
      const std::int64_t v = first + k * kGroup;
      if (v < parts.vectors && !ignored) batch[k] = load<kVector>(x + parts.head + v * kVector);
    }
    for (int k = 0; k < kBatch; ++k) {
      const std::int64_t v = first + k * kGroup;
      if (v >= parts.vectors) continue;
      const std::int64_t c = parts.head + v * kVector;
      differentiate<kSmooth>(gradient, batch[k], c, label, args.weights);
      if (wide_stores) {
        store(dx + c, batch[k]);
      } else {
        for (int i = 0; i < kVector; ++i) dx[c + i] = batch[k].values[i];
      }
    }
  }
  if (parts.lane < parts.tail) single(args.classes - parts.tail + parts.lane);
}

template <typename Real>
__global__ void __launch_bounds__(kThreads)
    sum_weights_kernel(const Real* weights, std::int64_t classes, Real* result) {
  Real sum = 0;
  for (std::int64_t c = threadIdx.x; c < classes; c += kThreads) sum += weights[c];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *result = sum;
}

// The sums of kCrossEntropySumRows rows; the results if that is all, otherwise three rows of the workspace.
template <typename Element>
__global__ void __launch_bounds__(kThreads) sum_rows_kernel(SoftmaxCrossEntropyForward<Element> args) {
  using Real = Arithmetic<Element>;
  const std::int64_t begin = blockIdx.x * kCrossEntropySumRows;
  const std::int64_t end = begin + kCrossEntropySumRows < args.rows ? begin + kCrossEntropySumRows : args.rows;
  Real loss = 0;
  Real denominator = 0;
  Real invalid = 0;
  for (std::int64_t row = begin + threadIdx.x; row < end; row += kThreads) {
    const std::int64_t label = args.labels[row];
    loss += args.loss[row];
    if (label != args.ignore_index) denominator += row_weight<Real>(args, row) * label_weight<Real>(args, label);
    if (label != args.ignore_index && !is_class(args, label)) invalid += 1;
  }
  loss = block_sum<kThreads>(loss);
  denominator = block_sum<kThreads>(denominator);
  invalid = block_sum<kThreads>(invalid);
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1) {
    *args.loss_sum = loss;
    *args.denominator = denominator;
    *args.invalid = static_cast<std::int64_t>(invalid);
  } else {
    Real* const sums = args.workspace + 1 + static_cast<std::int64_t>(blockIdx.x) * 3;
    sums[0] = loss;
    sums[1] = denominator;
    sums[2] = invalid;
  }
}

template <typename Element>
__global__ void __launch_bounds__(kThreads)
    sum_blocks_kernel(SoftmaxCrossEntropyForward<Element> args, std::int64_t blocks) {
  using Real = Arithmetic<Element>;
  Real loss = 0;
  Real denominator = 0;
  std::int64_t invalid = 0;
  for (std::int64_t block = threadIdx.x; block < blocks; block += kThreads) {
    const Real* const sums = args.workspace + 1 + block * 3;
    loss += sums[0];
    denominator += sums[1];
    invalid += static_cast<std::int64_t>(sums[2]);
  }
  loss = block_sum<kThreads>(loss);
  denominator = block_sum<kThreads>(denominator);
  invalid = block_sum<kThreads>(invalid);
  if (threadIdx.x != 0) return;
  *args.loss_sum = loss;
  *args.denominator = denominator;
  *args.invalid = invalid;
}

template <typename Real, typename Args>
Smoothing<Real> smoothing_of(const Args& args, Stream stream) {
  if (args.weights != nullptr && args.label_smoothing > 0) {
    launch("sum_weights", sum_weights_kernel<Real>, 1, kThreads, stream, args.weights, args.classes, args.workspace);
  }
  return {static_cast<Real>(1 - args.label_smoothing),
          static_cast<Real>(args.label_smoothing / static_cast<double>(args.classes)), args.workspace};
}

}  // namespace

template <typename Element>
void softmax_cross_entropy(const SoftmaxCrossEntropyForward<Element>& args, Stream stream) {
  const auto smoothing = smoothing_of<Arithmetic<Element>>(args, stream);
  const bool smooth = args.label_smoothing > 0;
  if (args.classes <= kMostWarpClasses) {
    launch("softmax_cross_entropy",
           smooth ? forward_kernel<true, kWarp, Element> : forward_kernel<false, kWarp, Element>,
           divide_up(args.rows, kThreads / kWarp), kThreads, stream, args, smoothing);
  } else {
    launch("softmax_cross_entropy",
           smooth ? forward_kernel<true, kThreads, Element> : forward_kernel<false, kThreads, Element>, args.rows,
           kThreads, stream, args, smoothing);
  }
  const std::int64_t blocks = args.rows == 0 ? 1 : divide_up(args.rows, kCrossEntropySumRows);
  launch("softmax_cross_entropy's sums", sum_rows_kernel<Element>, blocks, kThreads, stream, args);
  if (blocks > 1) {
    launch("softmax_cross_entropy's sums", sum_blocks_kernel<Element>, 1, kThreads, stream, args, blocks);
  }
}

template <typename Element>
void softmax_cross_entropy_backward(const SoftmaxCrossEntropyBackward<Element>& args, Stream stream) {
  const auto smoothing = smoothing_of<Arithmetic<Element>>(args, stream);
  const bool smooth = args.label_smoothing > 0;
  if (args.classes <= kMostWarpClasses) {
    launch("softmax_cross_entropy_backward",
           smooth ? backward_kernel<true, kWarp, Element> : backward_kernel<false, kWarp, Element>,
           divide_up(args.rows, kThreads / kWarp), kThreads, stream, args, smoothing);
  } else {
    launch("softmax_cross_entropy_backward",
           smooth ? backward_kernel<true, kThreads, Element> : backward_kernel<false, kThreads, Element>, args.rows,
           kThreads, stream, args, smoothing);
  }
}

#define LOCKSTEP_INSTANTIATE(Element)                                                      \
  template void softmax_cross_entropy(const SoftmaxCrossEntropyForward<Element>&, Stream); \
  template void softmax_cross_entropy_backward(const SoftmaxCrossEntropyBackward<Element>&, Stream);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)

}  // namespace lockstep::kernels
