#include "engine/program/InitialValues.h"

#include <cmath>

namespace lockstep::initial {

Initial constant(double value) {
  return [value](at::Tensor& tensor, const at::Generator&) { tensor.fill_(value); };
}

Initial uniform(double bound) {
  return [bound](at::Tensor& tensor, const at::Generator& generator) { tensor.uniform_(-bound, bound, generator); };
}

Initial normal(double deviation) {
  return [deviation](at::Tensor& tensor, const at::Generator& generator) { tensor.normal_(0, deviation, generator); };
}

// By the inverse of the distribution function, as PyTorch draws it: x = σ·√2·erf⁻¹(u), u from U(2Φ(-2/σ) - 1, 2Φ(2/σ) -
// 1).
Initial truncated_normal(double deviation) {
  return [deviation](at::Tensor& tensor, const at::Generator& generator) {
    const double most = std::erf(2 / (deviation * std::sqrt(2.0)));
    tensor.uniform_(-most, most, generator).erfinv_().mul_(deviation * std::sqrt(2.0)).clamp_(-2, 2);
  };
}

}  // namespace lockstep::initial
