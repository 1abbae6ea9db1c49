#include "engine/objective/MeasuredBatch.h"

#include <ATen/Functions.h>

namespace lockstep {

at::Tensor MeasuredBatch::weighted_sum(const at::Tensor& values) const {
  const at::Tensor weights = kind_.weights(targets_, sample_weights_);
  if (!weights.defined()) return values.sum();
  return values.mul(weights_beside(weights, values)).sum();
}

}  // namespace lockstep
