#include "engine/train/Batch.h"

namespace lockstep {

Batch Batch::clone() const {
  Batch copy{.size = size, .last_of_step = last_of_step};
  for (const at::Tensor& input : inputs) copy.inputs.push_back(input.clone());
  if (targets.defined()) copy.targets = targets.clone();
  if (weights.defined()) copy.weights = weights.clone();
  return copy;
}

void Batch::copy_from(const Batch& other) {
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i].copy_(other.inputs[i]);
  if (targets.defined()) targets.copy_(other.targets);
  if (weights.defined()) weights.copy_(other.weights);
}

}  // namespace lockstep
