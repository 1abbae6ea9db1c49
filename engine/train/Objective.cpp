#include "engine/train/Objective.h"

#include <ATen/Functions.h>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/operators/SoftmaxCrossEntropy.h"

namespace lockstep {

namespace {

std::string sizes_of(const at::Tensor& tensor) { return "[" + join(tensor.sizes().vec(), ", ") + "]"; }

// Of the dimensions that are longer than one.
std::vector<std::int64_t> lengths(const at::Tensor& tensor) { return tensor.squeeze().sizes().vec(); }

}  // namespace

at::Tensor Objective::sum(const at::Tensor& output, const at::Tensor& targets) const {
  if (loss_ == Loss::kCrossEntropy) {
    if (output.dim() < 2 || output.sizes().slice(0, static_cast<std::size_t>(output.dim() - 1)) != targets.sizes()) {
      throw InputError(
          "cross_entropy takes outputs [batch, classes] and one label a sample, or outputs [batch, …, classes] and "
          "labels "
          "[batch, …]; the program returned " +
          sizes_of(output) + " for labels " + sizes_of(targets));
    }
    if (targets.scalar_type() != at::kLong) {
      throw InputError("cross_entropy takes class labels, and the targets are real numbers; loss=mse takes those");
    }
    return softmax_cross_entropy(output.flatten(0, -2), targets.flatten(), label_smoothing_);
  }
  // One number or a row of numbers a sample is taken in the outputs' own order, whatever their sizes.
  if (output.numel() != targets.numel() || (targets.dim() > 2 && lengths(output) != lengths(targets))) {
    throw InputError("mse takes as many targets as outputs, in the same sizes; the program returned " +
                     sizes_of(output) + " for targets " + sizes_of(targets));
  }
  const bool reduced = output.scalar_type() == at::kBFloat16 || output.scalar_type() == at::kHalf;
  return at::mse_loss(reduced ? output.to(at::kFloat) : output, targets.view_as(output), at::Reduction::Sum);
}

double Objective::denominator(std::int64_t samples, const at::Tensor& output) const {
  const auto count = static_cast<double>(samples);
  if (output.numel() == 0 || output.dim() == 0) return count;
  const std::int64_t elements = output.numel() / output.size(0);
  return count * static_cast<double>(loss_ == Loss::kCrossEntropy ? elements / output.size(-1) : elements);
}

Objective make_objective(const Hyperparameters& hyperparameters) {
  return Objective(hyperparameters.loss, hyperparameters.label_smoothing);
}

}  // namespace lockstep
