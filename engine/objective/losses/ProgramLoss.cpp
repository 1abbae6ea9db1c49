#include "engine/objective/losses/ProgramLoss.h"

#include <ATen/Functions.h>

#include <string>

#include "common/Error.h"

namespace lockstep {

namespace {

class ProgramLoss : public Loss {
 public:
  bool class_labels() const override { return false; }
  bool takes_targets() const override { return false; }
  bool of_program() const override { return true; }

  std::int64_t positions(const at::Tensor& output) const override {
    return output.numel() == 0 || output.dim() == 0 ? 1 : output.numel() / output.size(0);
  }

  LossTerms terms(const at::Tensor& output, const at::Tensor& /*targets*/, const at::Tensor& weight) const override {
    if (!output.is_floating_point()) {
      throw InputError("loss=program takes real numbers as the program's loss, and it returned " +
                       std::string(c10::toString(output.scalar_type())) + "; name its loss with output=NAME");
    }
    const bool reduced = output.scalar_type() == at::kBFloat16 || output.scalar_type() == at::kHalf;
    const at::Tensor loss = reduced ? output.to(at::kFloat) : output;
    if (!weight.defined()) return {.sum = loss.sum()};
    if (loss.dim() > 0 && weight.sizes() != loss.sizes()) {
      throw InputError(
          "a program's weight has the sizes of its loss, or the loss is one number; it returned the loss " +
          sizes_text(loss) + " and the weight " + sizes_text(weight));
    }
    const at::Tensor counts = loss.dim() > 0 ? weight.detach() : weight.detach().sum();
    // A mean over nothing is NaN, and counts for nothing.
    const at::Tensor counted = at::where(counts.ne(0), loss, at::zeros({}, loss.options()));
    return {.sum = counted.mul(counts.to(loss.scalar_type())).sum(), .weight = weight.detach().sum(at::kDouble)};
  }
};

}  // namespace

std::shared_ptr<const Loss> make_program_loss() { return std::make_shared<ProgramLoss>(); }

}  // namespace lockstep
