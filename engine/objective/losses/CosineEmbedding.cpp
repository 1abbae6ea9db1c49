#include "engine/objective/losses/CosineEmbedding.h"

#include <ATen/Functions.h>

#include <optional>

#include "common/Error.h"
#include "engine/objective/losses/ElementwiseLoss.h"

namespace lockstep {

namespace {

constexpr const char* kTogether = "cosine_embedding takes targets 1 for vectors that belong together, and -1 or 0";

class CosineEmbedding : public ElementwiseLoss {
 public:
  explicit CosineEmbedding(double margin) : ElementwiseLoss("cosine_embedding"), margin_(margin) {}

  std::optional<TargetRange> target_range() const override {
    return TargetRange{.least = -1, .most = 1, .expected = kTogether};
  }

 protected:
  at::Tensor values(const at::Tensor& output, const at::Tensor& targets, std::int64_t reduction) const override {
    const at::Tensor together = targets.eq(1);
    const at::Tensor known = together.logical_or(targets.eq(-1)).logical_or(targets.eq(0));
    const at::Tensor signs = checked(targets, known.logical_not(), kTogether).mul(2).sub(1).clamp(-1, 1);
    return at::cosine_embedding_loss(output.select(1, 0), output.select(1, 1), signs, margin_, reduction);
  }
  at::Tensor beside(const at::Tensor& output) const override {
    if (output.dim() == 3 && output.size(1) == 2) return output.select(1, 0).select(1, 0);
    throw InputError("cosine_embedding takes outputs [batch, 2, width], two vectors a sample; the program returned " +
                     sizes_text(output));
  }
  at::Tensor predicted(const at::Tensor& output) const override {
    return at::cosine_similarity(output.select(1, 0), output.select(1, 1), /*dim=*/1);
  }

 private:
  double margin_;
};

}  // namespace

std::shared_ptr<const Loss> make_cosine_embedding(double margin) { return std::make_shared<CosineEmbedding>(margin); }

}  // namespace lockstep
