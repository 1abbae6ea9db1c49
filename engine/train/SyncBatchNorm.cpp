#include "engine/train/SyncBatchNorm.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>
#include <tuple>
#include <vector>

namespace lockstep {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::ScalarType arithmetic_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

// All dimensions but the channels'.
std::vector<std::int64_t> reduced_dimensions(const at::Tensor& x) {
  std::vector<std::int64_t> dimensions;
  for (std::int64_t i = 0; i < x.dim(); ++i) {
    if (i != 1) dimensions.push_back(i);
  }
  return dimensions;
}

// A number for each channel, in a form that goes with `x`.
at::Tensor by_channel(const at::Tensor& values, const at::Tensor& x) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(x.dim()), 1);
  sizes[1] = -1;
  return values.to(arithmetic_type(x)).view(sizes);
}

// A collective.
BatchNormStatistics gather(const at::Tensor& x, Communicator& communicator) {
  const std::int64_t channels = x.size(1);
  const std::int64_t ranks = communicator.size();
  const at::Tensor own = at::zeros({1 + 2 * channels}, x.options().dtype(at::kDouble));
  if (x.numel() > 0) {
    const auto [variance, mean] =
        at::var_mean(x.to(arithmetic_type(x)), reduced_dimensions(x), /*correction=*/0, /*keepdim=*/false);
    own.narrow(0, 0, 1).fill_(static_cast<double>(x.numel() / channels));
    own.narrow(0, 1, channels).copy_(mean);
    own.narrow(0, 1 + channels, channels).copy_(variance);
  }
  const at::Tensor all = at::empty({ranks, 1 + 2 * channels}, own.options());
  communicator
      .all_gather(own.const_data_ptr(), all.mutable_data_ptr(), static_cast<std::size_t>(own.numel()),
                  DataType::kFloat64)
      ->wait();
  const at::Tensor counts = all.narrow(1, 0, 1);
  const at::Tensor means = all.narrow(1, 1, channels);
  const at::Tensor count = counts.sum();
  const at::Tensor mean = (counts * means).sum(0) / count;
  const at::Tensor squares = all.narrow(1, 1 + channels, channels) + (means - mean).square();
  return {.mean = mean, .variance = (counts * squares).sum(0) / count, .count = count};
}

void update_running(const at::Tensor& running, const at::Tensor& value, double momentum) {
  if (running.defined()) running.mul_(1 - momentum).add_(value.to(running.scalar_type()), momentum);
}

struct NormalizationOverRanks : public torch::autograd::Function<NormalizationOverRanks> {
  // {y, the token}
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                               const at::Tensor& bias, const at::Tensor& token, double epsilon,
                               const BatchNormStatistics& found, Communicator* communicator) {
    const at::Tensor rstd = (found.variance + epsilon).rsqrt();
    at::Tensor y = (x - by_channel(found.mean, x)) * by_channel(rstd, x);
    if (weight.defined()) y = y * by_channel(weight, x);
    if (bias.defined()) y = y + by_channel(bias, x);
    context->save_for_backward({x, weight, found.mean, rstd, found.count});
    context->saved_data["communicator"] = reinterpret_cast<std::int64_t>(communicator);
    context->saved_data["bias"] = bias.defined();
    context->set_materialize_grads(false);
    return {y.to(x.scalar_type()), token.clone()};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const at::Tensor& count = saved[4];
    const std::int64_t channels = x.size(1);
    const bool any = gradients[0].defined() && x.numel() > 0;
    const at::Tensor sums = at::zeros({2, channels}, count.options());
    at::Tensor dy;
    at::Tensor normalized;
    at::Tensor own;
    if (any) {
      dy = gradients[0].to(arithmetic_type(x));
      normalized = (x - by_channel(saved[2], x)) * by_channel(saved[3], x);
      sums[0].copy_(dy.sum(reduced_dimensions(x)));
      sums[1].copy_((dy * normalized).sum(reduced_dimensions(x)));
      own = sums.clone();  // gradients of parameters are summed over ranks with all others
    }
    auto* communicator = reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt());
    communicator
        ->all_reduce(sums.mutable_data_ptr(), static_cast<std::size_t>(sums.numel()), DataType::kFloat64,
                     ReduceOp::kSum)
        ->wait();
    if (!any) return {{}, {}, {}, gradients[1], {}, {}, {}};
    const at::Tensor means = sums / count;
    at::Tensor dx = dy - by_channel(means[0], x) - normalized * by_channel(means[1], x);
    const at::Tensor scale = weight.defined() ? saved[3] * weight.to(at::kDouble) : saved[3];
    dx = dx * by_channel(scale, x);
    const auto parameter = [&](bool there, std::int64_t sum) {
      return there ? own[sum].to(weight.defined() ? weight.scalar_type() : arithmetic_type(x)) : at::Tensor();
    };
    return {dx.to(x.scalar_type()),
            parameter(weight.defined(), 1),
            parameter(context->saved_data["bias"].toBool(), 0),
            gradients[1],
            {},
            {},
            {}};
  }
};

}  // namespace

void SyncBatchNorm::begin() {
  token_ = at::zeros({}, at::TensorOptions(at::kFloat).device(device_)).set_requires_grad(true);
}

at::Tensor SyncBatchNorm::normalize(const BatchNormCall& call, BatchNormStatistics* found) {
  BatchNormStatistics statistics;
  {
    const c10::NoGradGuard no_grad;
    statistics = gather(call.x, communicator_);
    const at::Tensor& count = statistics.count;
    update_running(call.running_mean, statistics.mean, call.momentum);
    update_running(call.running_var, statistics.variance * (count / (count - 1).clamp_min(1)), call.momentum);
  }
  const variable_list results =
      NormalizationOverRanks::apply(call.x, call.weight, call.bias, token_, call.epsilon, statistics, &communicator_);
  if (results[1].requires_grad()) token_ = results[1];  // not within no_grad, where there is no backward
  if (found != nullptr) *found = statistics;
  return results[0];
}

// In a graph of its own, from which nobody goes backward.
at::Tensor SyncBatchNorm::normalize_again(const BatchNormCall& call, const BatchNormStatistics& found) {
  const at::Tensor token = at::zeros_like(token_).set_requires_grad(true);
  return NormalizationOverRanks::apply(call.x, call.weight, call.bias, token, call.epsilon, found, &communicator_)[0];
}

at::Tensor SyncBatchNorm::tie(const at::Tensor& loss) { return loss + token_.to(loss.scalar_type()); }

}  // namespace lockstep
