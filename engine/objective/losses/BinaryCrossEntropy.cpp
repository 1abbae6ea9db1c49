#include "engine/objective/losses/BinaryCrossEntropy.h"

#include <ATen/Functions.h>

#include <optional>
#include <string>

#include "common/Error.h"
#include "engine/objective/losses/ElementwiseLoss.h"

namespace lockstep {

namespace {

constexpr const char* kAnswers = "binary_cross_entropy takes targets from 0 (no) to 1 (yes)";

class BinaryCrossEntropy : public ElementwiseLoss {
 public:
  BinaryCrossEntropy(const BinaryCrossEntropyOptions& options, const c10::Device& device)
      : ElementwiseLoss("binary_cross_entropy"), ignore_index_(options.ignore_index) {
    // On the device once and for all: a step that is captured copies nothing from the host.
    if (!options.positive_weights.empty()) {
      positive_weights_ = at::tensor(options.positive_weights, at::kDouble).to(device);
    }
  }

  bool binary() const override { return true; }
  std::optional<TargetRange> target_range() const override {
    return TargetRange{.most = 1, .except = static_cast<double>(ignore_index_), .expected = kAnswers};
  }

 protected:
  at::Tensor values(const at::Tensor& output, const at::Tensor& targets, std::int64_t reduction) const override {
    const at::Tensor ignored = targets.eq(static_cast<double>(ignore_index_));
    const at::Tensor within = targets.ge(0).logical_and(targets.le(1)).logical_or(ignored);
    const at::Tensor answers = checked(targets, within.logical_not(), kAnswers).masked_fill(ignored, 0);
    return at::binary_cross_entropy_with_logits(output, answers, {}, weights_for(output), reduction);
  }
  at::Tensor counts(const at::Tensor& targets) const override { return targets.ne(static_cast<double>(ignore_index_)); }

 private:
  std::optional<at::Tensor> weights_for(const at::Tensor& output) const {
    if (!positive_weights_.defined()) return std::nullopt;
    const std::int64_t count = positive_weights_.numel();
    if (count != 1 && (output.dim() < 2 || count != output.size(-1))) {
      throw InputError("positive_weights must have one number, or one for each label; it has " + std::to_string(count) +
                       ", and the program returned " + sizes_text(output));
    }
    return positive_weights_.to(output.scalar_type());
  }

  std::int64_t ignore_index_;
  at::Tensor positive_weights_;  ///< float64; undefined: all 1
};

}  // namespace

std::shared_ptr<const Loss> make_binary_cross_entropy(const BinaryCrossEntropyOptions& options,
                                                      const c10::Device& device) {
  return std::make_shared<BinaryCrossEntropy>(options, device);
}

}  // namespace lockstep
