// Softmax cross-entropy over logits, forward and backward in one pass each; probabilities are never stored.
//
// Source of the formula: torch.nn.functional.cross_entropy (PyTorch 2.11) with class labels. For a row x with label y,
// class weights w, a weight s of the row itself, label smoothing ε, C classes, and lse = log Σ exp x_c:
//   loss = s · ((1 - ε) w_y (lse - x_y) + ε/C Σ_c w_c (lse - x_c))
// The mean divides by Σ s w_y over the rows that are not ignored, smoothing or not. PyTorch knows no s.
//
// What is not a number, as in PyTorch: a row that holds NaN or +∞, or nothing but -∞, has NaN for its lse, and so for
// its loss and gradient; a class at -∞ has probability 0, and makes the loss infinite where it has a share in it (NaN
// if its weight is 0). An ignored row's loss is 0 whatever it holds, but its gradient is NaN where its lse is.
#pragma once

#include <cstdint>

#include "kernels/ElementTypes.h"
#include "kernels/Stream.h"

namespace lockstep::kernels {

/// Rows whose losses one block adds up; see cross_entropy_workspace().
inline constexpr std::int64_t kCrossEntropySumRows = 1024;

/// Elements of the workspace that the CUDA form needs; the CPU form needs none.
constexpr std::int64_t cross_entropy_workspace(std::int64_t rows) {
  return 1 + (rows + kCrossEntropySumRows - 1) / kCrossEntropySumRows * 3;
}

/// All memory is the device's in the CUDA form. A label that is neither a class nor ignore_index makes its row's loss
/// NaN, and so both sums, and is counted: the caller must look at `invalid` before it uses the others.
template <typename Element>
struct SoftmaxCrossEntropyForward {
  const Element* logits;                   ///< [rows, classes], row-major
  const std::int64_t* labels;              ///< [rows]
  const Arithmetic<Element>* weights;      ///< [classes], or nullptr: all 1
  const Arithmetic<Element>* row_weights;  ///< [rows], or nullptr: all 1
  Arithmetic<Element>* loss;               ///< [rows]; 0 for ignored rows
  Arithmetic<Element>* log_sum_exp;        ///< [rows], ignored ones too; for the backward pass
  Arithmetic<Element>* loss_sum;           ///< Σ loss
  Arithmetic<Element>* denominator;        ///< what PyTorch's mean divides loss_sum by
  std::int64_t* invalid;                   ///< how many labels are neither a class nor ignore_index
  Arithmetic<Element>* workspace;          ///< cross_entropy_workspace(rows) elements
  std::int64_t rows, classes;
  std::int64_t ignore_index;
  double label_smoothing;  ///< ε, from 0 to 1
};

/// dlogits = scale · ∂ loss_sum / ∂ logits. dlogits may be logits. Rows with an invalid label become NaN. A rounding
/// error of log_sum_exp is a relative one of the probabilities: 1e-6 at |logits| near 16, and in proportion.
template <typename Element>
struct SoftmaxCrossEntropyBackward {
  const Element* logits;
  const std::int64_t* labels;
  const Arithmetic<Element>* weights;
  const Arithmetic<Element>* row_weights;
  const Arithmetic<Element>* log_sum_exp;
  const Arithmetic<Element>* scale;  ///< the incoming gradient, already divided by whatever the loss is divided by
  Element* dlogits;                  ///< [rows, classes]
  Arithmetic<Element>* workspace;    ///< 1 element
  std::int64_t rows, classes;
  std::int64_t ignore_index;
  double label_smoothing;
};

/// For Element in float, double, BFloat16, Half. The results do not depend on the number of threads or blocks.
template <typename Element>
void softmax_cross_entropy(const SoftmaxCrossEntropyForward<Element>& args);
template <typename Element>
void softmax_cross_entropy(const SoftmaxCrossEntropyForward<Element>& args, Stream stream);
template <typename Element>
void softmax_cross_entropy_backward(const SoftmaxCrossEntropyBackward<Element>& args);
template <typename Element>
void softmax_cross_entropy_backward(const SoftmaxCrossEntropyBackward<Element>& args, Stream stream);

}  // namespace lockstep::kernels
