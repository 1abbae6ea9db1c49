#include "engine/objective/MeanSquaredError.h"

#include <ATen/Functions.h>

#include <string>
#include <vector>

#include "common/Error.h"

namespace lockstep {

namespace {

// Of the dimensions that are longer than one.
std::vector<std::int64_t> lengths(const at::Tensor& tensor) { return tensor.squeeze().sizes().vec(); }

class MeanSquaredError : public Loss {
 public:
  bool class_labels() const override { return false; }

  std::int64_t positions(const at::Tensor& output) const override {
    return output.numel() == 0 || output.dim() == 0 ? 1 : output.numel() / output.size(0);
  }

  LossTerms terms(const at::Tensor& output, const at::Tensor& targets,
                  const at::Tensor& sample_weights) const override {
    // One number or a row of numbers a sample is taken in the outputs' own order, whatever their sizes.
    if (output.numel() != targets.numel() || (targets.dim() > 2 && lengths(output) != lengths(targets))) {
      throw InputError("mse takes as many targets as outputs, in the same sizes; the program returned " +
                       sizes_text(output) + " for targets " + sizes_text(targets));
    }
    require_same_batch("mse", output, targets);
    const bool reduced = output.scalar_type() == at::kBFloat16 || output.scalar_type() == at::kHalf;
    const at::Tensor numbers = reduced ? output.to(at::kFloat) : output;
    const at::Tensor wanted = targets.view_as(output);
    if (!sample_weights.defined()) return {.sum = at::mse_loss(numbers, wanted, at::Reduction::Sum)};
    const at::Tensor weights = weights_beside(sample_weights, numbers).expand_as(numbers);
    return {.sum = at::mse_loss(numbers, wanted, at::Reduction::None).mul(weights).sum(),
            .weight = weights.sum(at::kDouble)};
  }

  at::Tensor weights(const at::Tensor& /*targets*/, const at::Tensor& sample_weights) const override {
    return sample_weights;
  }
};

}  // namespace

std::shared_ptr<const Loss> make_mean_squared_error() { return std::make_shared<MeanSquaredError>(); }

}  // namespace lockstep
