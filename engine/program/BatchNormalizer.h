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

/// What an Executor calls in place of each aten::batch_norm that takes statistics of its batch, in the graph's order.
class BatchNormalizer {
 public:
  virtual ~BatchNormalizer() = default;
  /// What the node returns. `x` has no samples when Executor::normalize_nothing calls.
  virtual at::Tensor normalize(const BatchNormCall& call) = 0;
};

}  // namespace lockstep
