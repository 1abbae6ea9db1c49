#include "library/OwnLoss.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <utility>
#include <vector>

#include "common/Error.h"
#include "library/Arrays.h"
#include "library/CallerError.h"

namespace lockstep {

namespace {

class OwnLoss : public Loss {
 public:
  explicit OwnLoss(v1::LossFunction function) : function_(std::move(function)) {}

  bool class_labels() const override { return false; }
  std::int64_t positions(const at::Tensor& /*output*/) const override { return 1; }
  LossTerms terms(const at::Tensor&, const at::Tensor&, const at::Tensor&) const override {
    throw InternalError("a loss of the caller's sees all outputs");
  }

  std::optional<LossTerms> terms_of_all(const std::vector<at::Tensor>& outputs, const at::Tensor& targets,
                                        const at::Tensor& sample_weights, std::int64_t samples) const override {
    std::vector<at::Tensor> seen;
    std::vector<at::Tensor> gradients;
    v1::LossCall call;
    call.samples = samples;
    for (const at::Tensor& output : outputs) call.outputs.push_back(array_view_of(seen.emplace_back(on_host(output))));
    at::Tensor host_targets;
    at::Tensor host_weights;
    if (targets.defined()) call.targets = array_view_of(host_targets = on_host(targets));
    if (sample_weights.defined()) call.weights = array_view_of(host_weights = on_host(sample_weights));
    if (c10::GradMode::is_enabled()) {
      for (const at::Tensor& output : seen) {
        gradients.push_back(output.is_floating_point() ? at::zeros_like(output) : at::Tensor());
        call.gradients.push_back(gradients.back().defined() ? mutable_array_view_of(gradients.back())
                                                            : v1::MutableArrayView());
      }
    }
    const v1::LossSum sum = calling_back([&] { return function_(call); });
    return LossTerms{.sum = with_gradient(sum.sum, outputs, gradients), .weight = weight_of(sum, outputs.front())};
  }

 private:
  // A number of this value, whose derivatives by the outputs are the gradients.
  static at::Tensor with_gradient(double value, const std::vector<at::Tensor>& outputs,
                                  const std::vector<at::Tensor>& gradients) {
    at::Tensor sum;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined() || !outputs[i].requires_grad()) continue;
      const at::Tensor term = outputs[i].mul(gradients[i].to(outputs[i].options())).sum();
      sum = sum.defined() ? sum.add(term) : term;
    }
    if (!sum.defined()) return at::full({}, value, real_options(outputs.front()));
    return sum.sub(sum.detach()).add(value);
  }

  static at::Tensor weight_of(const v1::LossSum& sum, const at::Tensor& output) {
    if (!sum.weight) return {};
    return at::full({}, *sum.weight, output.options().dtype(at::kDouble));
  }

  static at::TensorOptions real_options(const at::Tensor& output) {
    return output.options().dtype(output.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  }

  v1::LossFunction function_;
};

}  // namespace

std::shared_ptr<const Loss> make_own_loss(v1::LossFunction function) {
  return std::make_shared<OwnLoss>(std::move(function));
}

}  // namespace lockstep
