#include "kernels/softmax_cross_entropy/SoftmaxCrossEntropy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/CpuElements.h"
#include "kernels/VectorMath.h"

namespace lockstep::kernels {

namespace {

// A row is worked on in blocks that stay in the first cache, as Arithmetic and filled up to a multiple of the lanes.
// Reductions go by lanes, as many on every machine, so that sums have one order.
constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kBlock = 2048;

constexpr std::int64_t padded(std::int64_t length) { return (length + kLanes - 1) / kLanes * kLanes; }

template <typename Real>
using Lanes [[gnu::vector_size(kLanes * sizeof(Real))]] = Real;

template <typename Real, typename Combine>
LOCKSTEP_INLINE Real reduce(const Real* block, std::int64_t length, const Combine& combine) {
  Lanes<Real> all;
  std::memcpy(&all, block, sizeof all);
  for (std::int64_t i = kLanes; i < length; i += kLanes) {
    Lanes<Real> more;
    std::memcpy(&more, block + i, sizeof more);
    combine(all, more);
  }
  Real lanes[kLanes];
  std::memcpy(lanes, &all, sizeof lanes);
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t lane = 0; lane < half; ++lane) combine(lanes[lane], lanes[lane + half]);
  }
  return lanes[0];
}

template <typename Real>
LOCKSTEP_INLINE Real sum(const Real* block, std::int64_t length) {
  return reduce(
      block, length, [](auto& all, const auto& more) __attribute__((always_inline)) { all += more; });
}

// A NaN may be lost.
template <typename Real>
LOCKSTEP_INLINE Real largest_of(const Real* block, std::int64_t length) {
  return reduce(
      block, length, [](auto& all, const auto& more) __attribute__((always_inline)) { all = all > more ? all : more; });
}

template <typename Element>
LOCKSTEP_INLINE void load_block(const Element* x, std::int64_t length, Arithmetic<Element>* block) {
  for (std::int64_t i = 0; i < length; ++i) block[i] = to_arithmetic(x[i]);
  for (std::int64_t i = length; i < padded(length); ++i) block[i] = -INFINITY;
}

// w_y: 0 for an ignored row, NaN for a label that is no class.
template <typename Args>
auto label_weight(const Args& args, std::int64_t row) {
  using Real = std::remove_cvref_t<decltype(*args.weights)>;
  const std::int64_t label = args.labels[row];
  if (label == args.ignore_index) return Real(0);
  if (label < 0 || label >= args.classes) return std::numeric_limits<Real>::quiet_NaN();
  return args.weights != nullptr ? args.weights[label] : Real(1);
}

// s
template <typename Args>
auto row_weight(const Args& args, std::int64_t row) {
  using Real = std::remove_cvref_t<decltype(*args.row_weights)>;
  return args.row_weights != nullptr ? args.row_weights[row] : Real(1);
}

// Σ w_c
template <typename Args>
double weight_sum(const Args& args) {
  if (args.weights == nullptr || args.label_smoothing == 0) return static_cast<double>(args.classes);
  double total = 0;
  for (std::int64_t c = 0; c < args.classes; ++c) total += args.weights[c];
  return total;
}

template <typename Element>
LOCKSTEP_INLINE void forward(const SoftmaxCrossEntropyForward<Element>& args, double all_weights, std::int64_t row) {
  using Real = Arithmetic<Element>;
  const Element* x = args.logits + row * args.classes;
  const std::int64_t label = args.labels[row];
  const Real label_logit = label >= 0 && label < args.classes ? to_arithmetic(x[label]) : Real(0);
  // Distances from x_y, or from 0: what all logits have in common does not cost accuracy.
  const Real origin = std::isfinite(label_logit) ? label_logit : Real(0);
  // Not -∞, so that a difference from it is a number; a row whose sum stays 0 held nothing but -∞.
  Real maximum = std::numeric_limits<Real>::lowest();
  double exponentials = 0;
  double distances = 0;  // Σ w_c (origin - x_c)
  alignas(64) Real block[kBlock];
  for (std::int64_t begin = 0; begin < args.classes; begin += kBlock) {
    const std::int64_t length = std::min(args.classes - begin, kBlock);
    load_block(x + begin, length, block);
    const Real largest = largest_of(block, padded(length));
    if (largest > maximum) {
      exponentials *= exp_up_to_88(maximum - largest);
      maximum = largest;
    }
    if (args.label_smoothing > 0) {
      alignas(64) Real weighted[kBlock];
      for (std::int64_t i = 0; i < length; ++i) weighted[i] = origin - block[i];
      if (args.weights != nullptr) {
        for (std::int64_t i = 0; i < length; ++i) weighted[i] *= args.weights[begin + i];
      }
      for (std::int64_t i = length; i < padded(length); ++i) weighted[i] = 0;
      distances += sum(weighted, padded(length));
    }
    for (std::int64_t i = 0; i < padded(length); ++i) block[i] = exp_up_to_88(block[i] - maximum);
    exponentials += sum(block, padded(length));
  }
  const double logarithm = exponentials == 0 ? NAN : std::log(exponentials);
  args.log_sum_exp[row] = static_cast<Real>(maximum + logarithm);
  double loss = 0;
  if (label != args.ignore_index) {
    loss = label_weight(args, row) * (static_cast<double>(maximum) - label_logit + logarithm);
    if (args.label_smoothing > 0) {
      const double spread = all_weights * (static_cast<double>(maximum) - origin + logarithm) + distances;
      loss = (1 - args.label_smoothing) * loss + args.label_smoothing / static_cast<double>(args.classes) * spread;
    }
  }
  args.loss[row] = static_cast<Real>(label == args.ignore_index ? 0 : row_weight(args, row) * loss);
}

template <typename Element>
LOCKSTEP_INLINE void backward(const SoftmaxCrossEntropyBackward<Element>& args, double all_weights, std::int64_t row) {
  using Real = Arithmetic<Element>;
  const Element* x = args.logits + row * args.classes;
  Element* dx = args.dlogits + row * args.classes;
  const Real log_sum_exp = args.log_sum_exp[row];
  const std::int64_t label = args.labels[row];
  if (label == args.ignore_index) {
    std::fill_n(dx, args.classes, from_arithmetic<Element>(std::isnan(log_sum_exp) ? log_sum_exp : Real(0)));
    return;
  }
  const double share = args.label_smoothing / static_cast<double>(args.classes);
  const Real scale = *args.scale * row_weight(args, row);
  const double target = scale * (1 - args.label_smoothing) * label_weight(args, row);
  const auto of_probability = static_cast<Real>(target + scale * share * all_weights);
  const auto of_weight = static_cast<Real>(scale * share);
  const auto weight = [&](std::int64_t c) __attribute__((always_inline)) {
    return args.weights != nullptr ? args.weights[c] : Real(1);
  };
  Element at_label{};  // before the loop, which may write where it reads
  const bool is_class = label >= 0 && label < args.classes;
  if (is_class) {
    const Real probability = exp_up_to_88(to_arithmetic(x[label]) - log_sum_exp);
    at_label = from_arithmetic<Element>(of_probability * probability - of_weight * weight(label) - Real(target));
  }
  alignas(64) Real block[kBlock];
  for (std::int64_t begin = 0; begin < args.classes; begin += kBlock) {
    const std::int64_t length = std::min(args.classes - begin, kBlock);
    load_block(x + begin, length, block);
    for (std::int64_t i = 0; i < padded(length); ++i) block[i] = of_probability * exp_up_to_88(block[i] - log_sum_exp);
    if (of_weight != 0) {
      for (std::int64_t i = 0; i < length; ++i) block[i] -= of_weight * weight(begin + i);
    }
    for (std::int64_t i = 0; i < length; ++i) dx[begin + i] = from_arithmetic<Element>(block[i]);
  }
  if (is_class) dx[label] = at_label;
}

#define LOCKSTEP_ROW(Element)                                                                           \
  LOCKSTEP_MULTIVERSION void forward_row(const SoftmaxCrossEntropyForward<Element>& args, double sum,   \
                                         std::int64_t row) {                                            \
    forward(args, sum, row);                                                                            \
  }                                                                                                     \
  LOCKSTEP_MULTIVERSION void backward_row(const SoftmaxCrossEntropyBackward<Element>& args, double sum, \
                                          std::int64_t row) {                                           \
    backward(args, sum, row);                                                                           \
  }
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_ROW)
#undef LOCKSTEP_ROW

}  // namespace

template <typename Element>
void softmax_cross_entropy(const SoftmaxCrossEntropyForward<Element>& args) {
  using Real = Arithmetic<Element>;
  const double all_weights = weight_sum(args);
#pragma omp parallel for schedule(static) if (args.rows * args.classes > kSerialElements)
  for (std::int64_t row = 0; row < args.rows; ++row) forward_row(args, all_weights, row);
  double loss = 0;
  double denominator = 0;
  std::int64_t invalid = 0;
  for (std::int64_t row = 0; row < args.rows; ++row) {
    const std::int64_t label = args.labels[row];
    loss += args.loss[row];
    if (label != args.ignore_index) {
      denominator += static_cast<double>(row_weight(args, row)) * label_weight(args, row);
    }
    if (label != args.ignore_index && (label < 0 || label >= args.classes)) ++invalid;
  }
  *args.loss_sum = static_cast<Real>(loss);
  *args.denominator = static_cast<Real>(denominator);
  *args.invalid = invalid;
}

template <typename Element>
void softmax_cross_entropy_backward(const SoftmaxCrossEntropyBackward<Element>& args) {
  const double all_weights = weight_sum(args);
#pragma omp parallel for schedule(static) if (args.rows * args.classes > kSerialElements)
  for (std::int64_t row = 0; row < args.rows; ++row) backward_row(args, all_weights, row);
}

#define LOCKSTEP_INSTANTIATE(Element)                                              \
  template void softmax_cross_entropy(const SoftmaxCrossEntropyForward<Element>&); \
  template void softmax_cross_entropy_backward(const SoftmaxCrossEntropyBackward<Element>&);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels
