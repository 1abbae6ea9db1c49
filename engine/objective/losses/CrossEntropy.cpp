#include "engine/objective/losses/CrossEntropy.h"

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
    if (targets.scalar_type() != at::kLong) return soft_terms(output, targets, sample_weights);
    const at::Tensor row_weights =
        sample_weights.defined() ? weights_beside(sample_weights, targets).expand_as(targets).flatten() : at::Tensor();
    const CrossEntropySums sums = softmax_cross_entropy(output.flatten(0, -2), targets.flatten(),
                                                        {.label_smoothing = label_smoothing_,
                                                         .ignore_index = ignore_index_,
                                                         .class_weights = class_weights_,
                                                         .row_weights = row_weights});
    return {.sum = sums.loss, .weight = sums.weight};
  }

  Compared compared(const at::Tensor& output, const at::Tensor& targets,
                    const at::Tensor& sample_weights) const override {
    if (targets.scalar_type() != at::kLong) {
      return {.output = output, .targets = targets.argmax(-1), .weights = sample_weights};
    }
    at::Tensor weights = targets.ne(ignore_index_);
    if (class_weights_.defined()) {
      const at::Tensor classes = targets.clamp(0, class_weights_.numel() - 1);
      weights = class_weights_.index_select(0, classes.flatten()).view_as(targets).mul(weights);
    }
    if (sample_weights.defined()) weights = weights.mul(weights_beside(sample_weights, targets));
    return {.output = output, .targets = targets, .weights = weights};
  }

 private:
  void require_fit(const at::Tensor& output, const at::Tensor& targets) const {
    const bool soft = targets.scalar_type() != at::kLong;
    if (soft && output.sizes() != targets.sizes()) {
      throw InputError(
          "cross_entropy takes class labels, which are integers, or real numbers in the outputs' sizes, a share for "
          "each "
          "class. The targets are real numbers " +
          sizes_text(targets) + ", and the program returned " + sizes_text(output) + "; loss=mse takes such numbers");
    }
    if (output.dim() < 2 || (!soft && output.sizes().slice(0, output.sizes().size() - 1) != targets.sizes())) {
      throw InputError(
          "cross_entropy takes outputs [batch, classes] and one label a sample, or outputs [batch, …, classes] and "
          "labels [batch, …]; the program returned " +
          sizes_text(output) + " for " + (soft ? "real numbers " : "labels ") + sizes_text(targets));
    }
    if (class_weights_.defined() && class_weights_.numel() != output.size(-1)) {
      throw InputError("class_weights must have a number for each class; it has " +
                       std::to_string(class_weights_.numel()) + ", and the program returned " + sizes_text(output) +
                       ", " + std::to_string(output.size(-1)) + " classes");
    }
  }

  LossTerms soft_terms(const at::Tensor& output, const at::Tensor& targets, const at::Tensor& sample_weights) const {
    const at::Tensor logits = widened(output).flatten(0, -2);
    const at::Tensor classes = class_weights_.defined() ? class_weights_.to(logits.scalar_type()) : at::Tensor();
    const at::Tensor losses = at::cross_entropy_loss(logits, targets.flatten(0, -2).to(logits.scalar_type()), classes,
                                                     at::Reduction::None, -100, label_smoothing_);
    if (!sample_weights.defined()) return {.sum = losses.sum()};
    const at::Tensor like = output.select(-1, 0);
    const at::Tensor weights = weights_beside(sample_weights, like).expand_as(like).flatten();
    return {.sum = losses.mul(weights).sum(), .weight = weights.sum(at::kDouble)};
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
