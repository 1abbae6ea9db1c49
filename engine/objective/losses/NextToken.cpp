#include "engine/objective/losses/NextToken.h"

#include <ATen/Functions.h>

#include <string>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

// What belongs to the tokens [batch, length], each moved to the place of the one before.
at::Tensor moved(const at::Tensor& tokens, const at::Scalar& last) {
  return at::cat({tokens.slice(1, 1), at::full_like(tokens.slice(1, 0, 1), last)}, 1);
}

class NextToken : public Loss {
 public:
  NextToken(std::shared_ptr<const Loss> cross_entropy, std::int64_t ignore_index)
      : cross_entropy_(std::move(cross_entropy)), ignore_index_(ignore_index) {}

  bool class_labels() const override { return true; }

  std::int64_t positions(const at::Tensor& output) const override {
    return output.dim() == 3 && output.size(1) > 1 ? output.size(1) - 1 : 1;
  }

  // Nothing comes after the last place: it is ignored, which spares a copy of all outputs but its own.
  LossTerms terms(const at::Tensor& output, const at::Tensor& targets,
                  const at::Tensor& sample_weights) const override {
    require_sequences(output, targets);
    return cross_entropy_->terms(
        output, moved(targets, ignore_index_),
        of_tokens(sample_weights, targets) ? moved(sample_weights.view_as(targets), 0) : sample_weights);
  }

  Compared compared(const at::Tensor& output, const at::Tensor& targets,
                    const at::Tensor& sample_weights) const override {
    return cross_entropy_->compared(
        output.slice(1, 0, -1), targets.slice(1, 1),
        of_tokens(sample_weights, targets) ? sample_weights.view_as(targets).slice(1, 1) : sample_weights);
  }

 private:
  static bool of_tokens(const at::Tensor& weights, const at::Tensor& targets) {
    return weights.defined() && weights.dim() > 1 && weights.numel() == targets.numel();
  }
  static void require_sequences(const at::Tensor& output, const at::Tensor& targets) {
    if (output.dim() == 3 && targets.scalar_type() == at::kLong && targets.dim() == 2 && output.size(1) > 1 &&
        output.sizes().slice(0, 2) == targets.sizes()) {
      return;
    }
    throw InputError(
        "next_token takes outputs [batch, length, classes] and the tokens [batch, length] themselves as targets, of "
        "a length of at least 2; the program returned " +
        sizes_text(output) + " for " + (targets.scalar_type() == at::kLong ? "tokens " : "real numbers ") +
        sizes_text(targets));
  }

  std::shared_ptr<const Loss> cross_entropy_;
  std::int64_t ignore_index_;
};

}  // namespace

std::shared_ptr<const Loss> make_next_token(std::shared_ptr<const Loss> cross_entropy, std::int64_t ignore_index) {
  return std::make_shared<NextToken>(std::move(cross_entropy), ignore_index);
}

}  // namespace lockstep
