// Batch norm that is computed otherwise than by its operator.
#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep {

/// A call of aten::batch_norm that normalizes `x`, [samples, channels, …], by its own statistics. Tensors that the node
/// does not have are undefined.
struct BatchNormCall {
  at::Tensor x;
  at::Tensor weight;
  at::Tensor bias;
  at::Tensor running_mean;  ///< updated in place
  at::Tensor running_var;   ///< the same, of the unbiased variance
  double momentum = 0.1;
  double epsilon = 1e-5;
};

/// By what a call has normalized. A few numbers for each channel.
struct BatchNormStatistics {
  at::Tensor mean;      ///< [channels], float64
  at::Tensor variance;  ///< the same, biased
  at::Tensor count;     ///< of the numbers behind each, of no dimensions
};

/// What an Executor calls in place of each aten::batch_norm that takes statistics of its batch, in the graph's order.
class BatchNormalizer {
 public:
  virtual ~BatchNormalizer() = default;
  /// What the node returns. `x` has no samples when Executor::normalize_nothing calls.
  /// `found`: takes what `normalize_again` needs, if it is not null.
  virtual at::Tensor normalize(const BatchNormCall& call, BatchNormStatistics* found) = 0;
  /// What the node returns, once more, in backward: by what `normalize` has found. Changes nothing.
  virtual at::Tensor normalize_again(const BatchNormCall& call, const BatchNormStatistics& found) = 0;
};

}  // namespace lockstep
