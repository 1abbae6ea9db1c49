#include "engine/train/Objective.h"

#include <ATen/Functions.h>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/operators/SoftmaxCrossEntropy.h"

namespace lockstep {

namespace {

std::string sizes_of(const at::Tensor& tensor) { return "[" + join(tensor.sizes().vec(), ", ") + "]"; }

}  // namespace

at::Tensor Objective::sum(const at::Tensor& output, const at::Tensor& targets) const {
  if (loss_ == Loss::kCrossEntropy) {
    if (output.dim() != 2 || targets.dim() != 1 || output.size(0) != targets.size(0)) {
      throw InputError("cross_entropy takes outputs [batch, classes] and one label a sample; the program returned " +
                       sizes_of(output) + " for labels " + sizes_of(targets));
    }
    if (targets.scalar_type() != at::kLong) {
      throw InputError("cross_entropy takes class labels, and the targets are real numbers; loss=mse takes those");
    }
    return softmax_cross_entropy(output, targets, label_smoothing_);
  }
  if (output.numel() != targets.numel()) {
    throw InputError("mse takes as many targets as outputs; the program returned " + sizes_of(output) +
                     " for targets " + sizes_of(targets));
  }
  const bool reduced = output.scalar_type() == at::kBFloat16 || output.scalar_type() == at::kHalf;
  return at::mse_loss(reduced ? output.to(at::kFloat) : output, targets.view_as(output), at::Reduction::Sum);
}

double Objective::denominator(std::int64_t samples, const at::Tensor& output) const {
  const auto count = static_cast<double>(samples);
  if (loss_ == Loss::kCrossEntropy || output.numel() == 0) return count;
  return count * static_cast<double>(output.numel()) / static_cast<double>(output.size(0));
}

}  // namespace lockstep
