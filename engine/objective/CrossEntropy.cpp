#include "engine/objective/CrossEntropy.h"

#include <ATen/Functions.h>

#include <string>

#include "common/Error.h"
#include "engine/program/operators/SoftmaxCrossEntropy.h"

namespace lockstep {

namespace {

class CrossEntropy : public Loss {
 public:
  CrossEntropy(const CrossEntropyOptions& options, const c10::Device& device)
      : label_smoothing_(options.label_smoothing), ignore_index_(options.ignore_index) {
    // On the device once and for all: a step that is captured copies nothing from the host.
    if (!options.class_weights.empty()) class_weights_ = at::tensor(options.class_weights, at::kDouble).to(device);
  }

  bool class_labels() const override { return true; }

  std::int64_t positions(const at::Tensor& output) const override {
    return output.numel() == 0 || output.dim() == 0 ? 1 : output.numel() / output.size(0) / output.size(-1);
  }

  LossTerms terms(const at::Tensor& output, const at::Tensor& targets,
                  const at::Tensor& sample_weights) const override {
    require_fit(output, targets);
    const at::Tensor row_weights =
        sample_weights.defined() ? weights_beside(sample_weights, targets).expand_as(targets).flatten() : at::Tensor();
    const CrossEntropySums sums = softmax_cross_entropy(output.flatten(0, -2), targets.flatten(),
                                                        {.label_smoothing = label_smoothing_,
                                                         .ignore_index = ignore_index_,
                                                         .class_weights = class_weights_,
                                                         .row_weights = row_weights});
    return {.sum = sums.loss, .weight = sums.weight};
  }

  at::Tensor weights(const at::Tensor& targets, const at::Tensor& sample_weights) const override {
    at::Tensor weights = targets.ne(ignore_index_);
    if (class_weights_.defined()) {
      const at::Tensor classes = targets.clamp(0, class_weights_.numel() - 1);
      weights = class_weights_.index_select(0, classes.flatten()).view_as(targets).mul(weights);
    }
    return sample_weights.defined() ? weights.mul(weights_beside(sample_weights, targets)) : weights;
  }

 private:
  void require_fit(const at::Tensor& output, const at::Tensor& targets) const {
    if (output.dim() < 2 || output.sizes().slice(0, static_cast<std::size_t>(output.dim() - 1)) != targets.sizes()) {
      throw InputError(
          "cross_entropy takes outputs [batch, classes] and one label a sample, or outputs [batch, …, classes] and "
          "labels [batch, …]; the program returned " +
          sizes_text(output) + " for labels " + sizes_text(targets));
    }
    if (targets.scalar_type() != at::kLong) {
      throw InputError("cross_entropy takes class labels, and the targets are real numbers; loss=mse takes those");
    }
    if (class_weights_.defined() && class_weights_.numel() != output.size(-1)) {
      throw InputError("class_weights must have a number for each class; it has " +
                       std::to_string(class_weights_.numel()) + ", and the program returned " + sizes_text(output) +
                       ", " + std::to_string(output.size(-1)) + " classes");
    }
  }

  double label_smoothing_;
  std::int64_t ignore_index_;
  at::Tensor class_weights_;  ///< [classes], float64; undefined: all 1
};

}  // namespace

std::shared_ptr<const Loss> make_cross_entropy(const CrossEntropyOptions& options, const c10::Device& device) {
  return std::make_shared<CrossEntropy>(options, device);
}

}  // namespace lockstep
