// Batch norm of the columns of a matrix, which is what images are that lie channels last: a row for each pixel of each
// image, a column for each channel. Forward and backward with an optional residual added behind it, and an optional
// ReLU behind that. CPU only.
//
// Source of the formulas: Ioffe and Szegedy 2015, as torch.nn.functional.batch_norm (PyTorch 2.11) has them in
// training:
//   y = (x - mean) · rstd · weight + bias, rstd = 1 / √(variance + ε), the variance divided by the number of rows.
// A chunk of rows (ColumnSum.h) is summed in two steps, first x, then x - mean; what chunks have found is combined in
// float64 (Chan, Golub and LeVeque 1983). So columns whose mean is large beside their deviation, and many rows, cost
// float32 nothing but the rounding of the mean.
//
// Bytes: forward reads x twice, the second time from the cache where a chunk fits, and the residual, and writes y.
// Backward reads dy and x twice and writes dx; with a residual it reads y, too, and writes its gradient.
#pragma once

#include <cstdint>

#include "kernels/ColumnSum.h"
#include "kernels/ElementTypes.h"

namespace lockstep::kernels {

/// Row-major [rows, columns] unless said otherwise, and at least one row. y may be residual.
template <typename Element>
struct BatchNormForward {
  const Element* x;
  const Element* residual;            ///< or nullptr for none
  const Arithmetic<Element>* weight;  ///< [columns], or nullptr for 1
  const Arithmetic<Element>* bias;    ///< [columns], or nullptr for 0
  Element* y;                         ///< the normalised x, plus residual, or 0 where `relu` and that is negative
  Arithmetic<Element>* mean;          ///< [columns]
  Arithmetic<Element>* rstd;          ///< [columns]
  /// [columns] each, or nullptr: become (1 - momentum) · old + momentum · new. The new variance is divided by rows - 1,
  /// so that it is infinite or NaN for a single row.
  Arithmetic<Element>* running_mean;
  Arithmetic<Element>* running_variance;
  Arithmetic<Element>* workspace;  ///< batch_norm_workspace(rows, columns) elements
  std::int64_t rows, columns;
  double epsilon, momentum;
  bool relu;
};

/// With n the normalised x, and g = dy, or 0 where `relu` has made y 0:
///   dx = weight · rstd · (g - mean(g) - n · mean(g · n)), dresidual = g,
///   weight_gradient = Σ over rows of g · n, bias_gradient = Σ over rows of g.
/// dx may be dy.
template <typename Element>
struct BatchNormBackward {
  const Element* dy;
  const Element* x;
  const Element* y;                   ///< of the forward pass; read where there are `relu` and dresidual
  const Arithmetic<Element>* mean;    ///< [columns], of the forward pass
  const Arithmetic<Element>* rstd;    ///< [columns], of the forward pass
  const Arithmetic<Element>* weight;  ///< [columns], or nullptr for 1
  const Arithmetic<Element>* bias;    ///< [columns], or nullptr for 0
  Element* dx;
  Element* dresidual;                    ///< or nullptr, when there was no residual
  Arithmetic<Element>* weight_gradient;  ///< [columns]
  Arithmetic<Element>* bias_gradient;    ///< [columns]
  Arithmetic<Element>* workspace;        ///< batch_norm_workspace(rows, columns) elements
  std::int64_t rows, columns;
  bool relu;
};

constexpr std::int64_t batch_norm_workspace(std::int64_t rows, std::int64_t columns) {
  return 3 * column_sum_workspace(rows, columns) + 3 * columns;
}

/// For Element in float, double, BFloat16, Half. The results do not depend on the number of threads.
template <typename Element>
void batch_norm(const BatchNormForward<Element>& args);
template <typename Element>
void batch_norm_backward(const BatchNormBackward<Element>& args);

}  // namespace lockstep::kernels
