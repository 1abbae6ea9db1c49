// Layer norm over the last dimension, forward with an optional residual added before it, and backward in one pass over
// the rows each; mean and rstd of each row are kept for the backward pass.
//
// Source of the formulas: Ba, Kiros and Hinton 2016, as torch.nn.functional.layer_norm (PyTorch 2.11) has them:
//   y = (s - mean) · rstd · weight + bias, rstd = 1 / √(variance + ε), the variance divided by the number of columns.
// Means are taken in two steps, of s and of s - mean, and so are those of the normalised s in the backward pass
// (Chan, Golub and LeVeque 1983): rows whose mean is large beside their deviation lose nothing.
#pragma once

#include <cstdint>

#include "kernels/ColumnSum.h"
#include "kernels/ElementTypes.h"
#include "kernels/Stream.h"

namespace lockstep::kernels {

/// Row-major [rows, columns] unless said otherwise. s is x + residual, rounded to Element, or x when there is no
/// residual. y may be x or residual, and sum may be x or residual, but y may not be sum.
template <typename Element>
struct LayerNormForward {
  const Element* x;
  const Element* residual;            ///< or nullptr for none
  const Arithmetic<Element>* weight;  ///< [columns], or nullptr for 1
  const Arithmetic<Element>* bias;    ///< [columns], or nullptr for none
  Element* sum;                       ///< s, written when there is a residual
  Element* y;
  Arithmetic<Element>* mean;  ///< [rows]
  Arithmetic<Element>* rstd;  ///< [rows]
  std::int64_t rows, columns;
  double epsilon;
};

/// dx, the gradient of s, of x and of residual alike: with n the normalised s and g = dy · weight
///   dx = rstd · (g - mean(g) - n · mean(g · n)) + dsum,
///   weight_gradient = Σ over rows of dy · n, bias_gradient = Σ over rows of dy.
/// dx may be dy or dsum.
template <typename Element>
struct LayerNormBackward {
  const Element* dy;
  const Element* s;
  const Arithmetic<Element>* mean;    ///< [rows], of the forward pass
  const Arithmetic<Element>* rstd;    ///< [rows], of the forward pass
  const Arithmetic<Element>* weight;  ///< [columns], or nullptr for 1
  const Element* dsum;                ///< what reaches s from elsewhere, or nullptr for nothing
  Element* dx;
  Arithmetic<Element>* weight_gradient;  ///< [columns], or nullptr: not wanted
  Arithmetic<Element>* bias_gradient;    ///< [columns], or nullptr: not wanted
  /// layer_norm_workspace(rows, columns) elements, when one of the two is wanted
  Arithmetic<Element>* workspace;
  std::int64_t rows, columns;
};

constexpr std::int64_t layer_norm_workspace(std::int64_t rows, std::int64_t columns) {
  return 2 * column_sum_workspace(rows, columns);
}

/// For Element in float, double, BFloat16, Half. The results do not depend on the number of threads or blocks.
template <typename Element>
void layer_norm(const LayerNormForward<Element>& args);
template <typename Element>
void layer_norm(const LayerNormForward<Element>& args, Stream stream);
template <typename Element>
void layer_norm_backward(const LayerNormBackward<Element>& args);
template <typename Element>
void layer_norm_backward(const LayerNormBackward<Element>& args, Stream stream);

}  // namespace lockstep::kernels
