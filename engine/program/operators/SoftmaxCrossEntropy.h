// The loss of classification.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lockstep {

/// What rows weigh, and how much of a label is spread.
struct SoftmaxCrossEntropyOptions {
  double label_smoothing = 0;
  std::int64_t ignore_index = -100;  ///< a row with this label weighs 0
  at::Tensor class_weights{};        ///< [C], real numbers; undefined: all 1
  at::Tensor row_weights{};          ///< [N], real numbers; undefined: all 1
};

/// Tensors of no dimensions, float32, or float64 for float64 logits.
struct CrossEntropySums {
  at::Tensor loss;    ///< with its gradient
  at::Tensor weight;  ///< what PyTorch's reduction='mean' divides it by; without gradient
};

/// Sums over the rows of `logits` [N, C] of torch.nn.functional.cross_entropy with int64 labels [N], each times its
/// row's weight. c10::IndexError for a label that is neither a class nor ignored; on a GPU both sums are NaN then.
/// Backward writes the gradient into the logits' memory if by then nothing else holds it; it can run once.
CrossEntropySums softmax_cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                                       const SoftmaxCrossEntropyOptions& options = {});

}  // namespace lockstep
