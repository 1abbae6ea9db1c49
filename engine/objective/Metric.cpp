#include "engine/objective/Metric.h"

#include <ATen/Functions.h>

namespace lockstep {

at::Tensor Metric::merged(const std::vector<at::Tensor>& counts) const { return at::stack(counts).sum(0); }

at::Tensor counts_of(const std::vector<at::Tensor>& numbers) {
  std::vector<at::Tensor> doubles;
  for (const at::Tensor& number : numbers) doubles.push_back(number.detach().to(at::kDouble));
  return at::stack(doubles).unsqueeze(0);
}

}  // namespace lockstep
