#include "engine/objective/losses/ElementwiseLoss.h"

#include <ATen/Functions.h>

#include <vector>

#include "common/Error.h"

namespace lockstep {

namespace {

// Of the dimensions that are longer than one.
std::vector<std::int64_t> lengths(const at::Tensor& tensor) { return tensor.squeeze().sizes().vec(); }

}  // namespace

std::int64_t ElementwiseLoss::positions(const at::Tensor& output) const {
  const at::Tensor numbers = beside(output);
  return numbers.numel() == 0 || numbers.dim() == 0 ? 1 : numbers.numel() / numbers.size(0);
}

at::Tensor ElementwiseLoss::weights(const at::Tensor& targets, const at::Tensor& sample_weights) const {
  const at::Tensor counting = counts(targets);
  if (!sample_weights.defined()) return counting;
  const at::Tensor weights = weights_beside(sample_weights, targets).expand_as(targets);
  return counting.defined() ? weights.mul(counting) : weights;
}

LossTerms ElementwiseLoss::terms(const at::Tensor& output, const at::Tensor& targets,
                                 const at::Tensor& sample_weights) const {
  const at::Tensor like = beside(output);
  // One number or a row of numbers a sample is taken in the outputs' own order, whatever their sizes.
  if (like.numel() != targets.numel() || (targets.dim() > 2 && lengths(like) != lengths(targets))) {
    throw InputError(name_ + " takes as many targets as outputs, in the same sizes; the program returned " +
                     sizes_text(output) + " for targets " + sizes_text(targets));
  }
  require_same_batch(name_, like, targets);
  const at::Tensor wanted = targets.view_as(like);
  const at::Tensor weights = this->weights(wanted, sample_weights);
  if (!weights.defined()) return {.sum = values(widened(output), wanted, at::Reduction::Sum)};
  return {.sum = values(widened(output), wanted, at::Reduction::None).mul(weights).sum(),
          .weight = weights.sum(at::kDouble)};
}

Compared ElementwiseLoss::compared(const at::Tensor& output, const at::Tensor& targets,
                                   const at::Tensor& sample_weights) const {
  const at::Tensor wanted = targets.view_as(beside(output));
  return {.output = predicted(widened(output)), .targets = wanted, .weights = weights(wanted, sample_weights)};
}

}  // namespace lockstep
