#include "engine/objective/losses/Huber.h"

#include <ATen/Functions.h>

#include "engine/objective/losses/ElementwiseLoss.h"

namespace lockstep {

namespace {

class Huber : public ElementwiseLoss {
 public:
  explicit Huber(double delta) : ElementwiseLoss("huber"), delta_(delta) {}

 protected:
  at::Tensor values(const at::Tensor& output, const at::Tensor& targets, std::int64_t reduction) const override {
    return at::huber_loss(output, targets, reduction, delta_);
  }

 private:
  double delta_;
};

}  // namespace

std::shared_ptr<const Loss> make_huber(double delta) { return std::make_shared<Huber>(delta); }

}  // namespace lockstep
