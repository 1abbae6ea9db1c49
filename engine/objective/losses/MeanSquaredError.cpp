#include "engine/objective/losses/MeanSquaredError.h"

#include <ATen/Functions.h>

#include "engine/objective/losses/ElementwiseLoss.h"

namespace lockstep {

namespace {

class MeanSquaredError : public ElementwiseLoss {
 public:
  MeanSquaredError() : ElementwiseLoss("mse") {}

 protected:
  at::Tensor values(const at::Tensor& output, const at::Tensor& targets, std::int64_t reduction) const override {
    return at::mse_loss(output, targets, reduction);
  }
};

}  // namespace

std::shared_ptr<const Loss> make_mean_squared_error() { return std::make_shared<MeanSquaredError>(); }

}  // namespace lockstep
