// What training minimizes, and what evaluation counts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "job/Hyperparameters.h"

namespace lockstep {

/// Sums over samples, so that any split of a batch over ranks and micro-batches adds up to the whole: the mean is taken
/// once, by the denominator of the global batch. Holds no state.
class Objective {
 public:
  /// `label_smoothing`: of cross-entropy, as torch.nn.CrossEntropyLoss has it.
  explicit Objective(Loss loss, double label_smoothing = 0) : loss_(loss), label_smoothing_(label_smoothing) {}

  /// The loss summed over the samples of `output` [N, …]: cross-entropy of logits [N, …, C] and a class label for each
  /// position [N, …] (none but the sample itself for [N, C]), or the squared error of `output` and `targets` of the
  /// same number of elements, and of the same sizes but for ones where a sample's target has more than one dimension.
  /// In float32 when the output is bf16 or fp16. Throws InputError when shapes do not fit.
  at::Tensor sum(const at::Tensor& output, const at::Tensor& targets) const;

  /// What PyTorch's mean divides by for `samples` samples whose outputs look like `output`: positions for
  /// cross-entropy, elements for the squared error.
  double denominator(std::int64_t samples, const at::Tensor& output) const;

 private:
  Loss loss_;
  double label_smoothing_;
};

/// The objective of a job.
Objective make_objective(const Hyperparameters& hyperparameters);

}  // namespace lockstep
