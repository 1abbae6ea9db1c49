// The loss of classification.
#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep {

/// The sum over the rows of `logits` [N, C] of torch.nn.functional.cross_entropy with int64 labels [N], with its
/// gradient: float32, or float64 for float64 logits. c10::IndexError for a label that is no class.
at::Tensor softmax_cross_entropy(const at::Tensor& logits, const at::Tensor& labels, double label_smoothing);

}  // namespace lockstep
