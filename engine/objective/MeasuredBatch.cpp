#include "engine/objective/MeasuredBatch.h"

#include <ATen/Functions.h>

namespace lockstep {

at::Tensor MeasuredBatch::weights() const {
  const at::Tensor& given = compared_.weights;
  if (!given.defined()) return at::ones(targets().sizes(), targets().options().dtype(at::kDouble));
  return weights_beside(given, targets()).expand_as(targets()).to(at::kDouble);
}

at::Tensor MeasuredBatch::weighted_sum(const at::Tensor& values) const {
  if (!compared_.weights.defined()) return values.sum();
  return values.mul(weights_beside(compared_.weights, values)).sum();
}

}  // namespace lockstep
