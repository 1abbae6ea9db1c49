#include "engine/objective/Loss.h"

#include <ATen/Functions.h>

#include <limits>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

bool of_one_batch(const at::Tensor& output, const at::Tensor& other) {
  return output.dim() == 0 ? other.numel() == 1 : other.dim() > 0 && output.size(0) == other.size(0);
}

}  // namespace

void require_same_batch(const std::string& loss, const at::Tensor& output, const at::Tensor& targets) {
  if (of_one_batch(output, targets)) return;
  throw InputError(loss + " takes an output for each sample, [batch] or [batch, …]; the program returned " +
                   sizes_text(output) + " for targets " + sizes_text(targets));
}

at::Tensor weights_beside(const at::Tensor& sample_weights, const at::Tensor& like) {
  if (sample_weights.numel() == like.numel() && of_one_batch(like, sample_weights)) return sample_weights.view_as(like);
  const std::int64_t own = sample_weights.dim();
  if (own > like.dim() || sample_weights.sizes() != like.sizes().slice(0, static_cast<std::size_t>(own))) {
    throw InputError("a weight is needed for each sample, or for each of its positions; there are weights " +
                     sizes_text(sample_weights) + " for " + sizes_text(like));
  }
  std::vector<std::int64_t> sizes = sample_weights.sizes().vec();
  sizes.resize(static_cast<std::size_t>(like.dim()), 1);
  return sample_weights.view(sizes);
}

at::Tensor widened(const at::Tensor& output) {
  const bool reduced = output.scalar_type() == at::kBFloat16 || output.scalar_type() == at::kHalf;
  return reduced ? output.to(at::kFloat) : output;
}

at::Tensor checked(const at::Tensor& values, const at::Tensor& wrong, const std::string& wanted) {
  if (!values.is_cpu()) return values.masked_fill(wrong, std::numeric_limits<double>::quiet_NaN());
  const at::Tensor found = values.detach().masked_select(wrong);
  if (found.numel() == 0) return values;
  throw InputError(wanted + "; found " + format("%g", found[0].item<double>()));
}

std::string sizes_text(const at::Tensor& tensor) { return "[" + join(tensor.sizes().vec(), ", ") + "]"; }

}  // namespace lockstep
