#include "engine/objective/losses/AbsoluteError.h"

#include <ATen/Functions.h>

#include "engine/objective/losses/ElementwiseLoss.h"

namespace lockstep {

namespace {

class AbsoluteError : public ElementwiseLoss {
 public:
  AbsoluteError() : ElementwiseLoss("mae") {}

 protected:
  at::Tensor values(const at::Tensor& output, const at::Tensor& targets, std::int64_t reduction) const override {
    return at::l1_loss(output, targets, reduction);
  }
};

}  // namespace

std::shared_ptr<const Loss> make_absolute_error() { return std::make_shared<AbsoluteError>(); }

}  // namespace lockstep
