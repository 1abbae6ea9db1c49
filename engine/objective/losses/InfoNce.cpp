#include "engine/objective/losses/InfoNce.h"

#include <ATen/Functions.h>

#include "common/Error.h"

namespace lockstep {

namespace {

class InfoNce : public Loss {
 public:
  InfoNce(double temperature, bool symmetric) : temperature_(temperature), symmetric_(symmetric) {}

  bool class_labels() const override { return false; }
  bool takes_targets() const override { return false; }
  bool of_whole_batch() const override { return true; }
  std::int64_t positions(const at::Tensor& /*output*/) const override { return 1; }

  LossTerms terms(const at::Tensor& output, const at::Tensor& /*targets*/,
                  const at::Tensor& /*sample_weights*/) const override {
    if (output.dim() != 3 || output.size(1) != 2 || !output.is_floating_point()) {
      throw InputError("info_nce takes real outputs [batch, 2, width], two vectors a sample; the program returned " +
                       std::string(c10::toString(output.scalar_type())) + " " + sizes_text(output) +
                       ": return torch.stack((a, b), 1)");
    }
    const at::Tensor vectors = widened(output);
    const at::Tensor similarities = at::matmul(vectors.select(1, 0).div(temperature_), vectors.select(1, 1).t());
    at::Tensor others = similarities.logsumexp(/*dim=*/1);
    if (symmetric_) others = others.add(similarities.logsumexp(/*dim=*/0)).div(2);
    return {.sum = others.sub(similarities.diagonal()).sum()};
  }

 private:
  double temperature_;
  bool symmetric_;
};

}  // namespace

std::shared_ptr<const Loss> make_info_nce(double temperature) {
  return std::make_shared<InfoNce>(temperature, /*symmetric=*/false);
}
std::shared_ptr<const Loss> make_symmetric_info_nce(double temperature) {
  return std::make_shared<InfoNce>(temperature, /*symmetric=*/true);
}

}  // namespace lockstep
