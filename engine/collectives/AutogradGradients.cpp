#include "engine/collectives/AutogradGradients.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <utility>

#include "common/Error.h"

namespace lockstep {

// Autograd owns the hooks for as long as its graph lives, which may be longer than what made them: they call through
// this.
struct AutogradGradients::Hooks {
  std::function<void(std::size_t)> came;
  // A parameter refers to its accumulator weakly: without an owner the hook would go with the first graph.
  // PyTorch has counted its nodes in two ways: by std::shared_ptr, and from 2.15 on by itself.
  std::vector<decltype(torch::autograd::impl::grad_accumulator(std::declval<const at::Tensor&>()))> accumulators;
};

AutogradGradients::AutogradGradients(FlatParameters& parameters)
    : parameters_(parameters), hooks_(std::make_shared<Hooks>()), bucket_of_(parameters.plan().bucket_of_segments()) {
  received_.assign(bucket_of_.size(), false);
  told_ = received_;
  came_.assign(parameters.plan().buckets().size(), 0);
  expected_ = came_;
  waiting_.resize(came_.size());
  hooks_->came = [this](std::size_t parameter) { came(parameter); };
  for (std::size_t i = 0; i < parameters.parameters().size(); ++i) {
    auto accumulator = torch::autograd::impl::grad_accumulator(parameters.parameters()[i]);
    using torch::autograd::variable_list;
    accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
        [hooks = std::weak_ptr(hooks_), i](const variable_list& outputs, const variable_list&) {
          if (const auto alive = hooks.lock()) alive->came(i);
          return outputs;
        }));
    hooks_->accumulators.push_back(std::move(accumulator));
  }
}

AutogradGradients::~AutogradGradients() = default;

void AutogradGradients::begin_step() {
  // Without a gradient to add to, autograd hands its own over.
  for (const at::Tensor& parameter : parameters_.parameters()) parameter.mutable_grad() = at::Tensor();
  for (std::size_t bucket = 0; bucket < came_.size(); ++bucket) {
    if (came_[bucket] > 0) expected_[bucket] = std::exchange(came_[bucket], 0);
    waiting_[bucket].clear();
  }
  received_.assign(received_.size(), false);
  told_.assign(received_.size(), false);
}

void AutogradGradients::backward(const at::Tensor& loss, GradientSink* sink) {
  sink_ = sink;
  loss.backward();
  for (std::size_t bucket = 0; bucket < waiting_.size(); ++bucket) take_in(bucket);
}

void AutogradGradients::came(std::size_t parameter) {
  const std::size_t bucket = bucket_of_[parameter];
  if (received_[parameter]) {  // in an earlier micro-batch
    if (sink_ != nullptr) tell(parameter, *sink_);
    return;
  }
  // What reached its accumulator may be nothing: a batch norm that takes part in backward without being asked passes
  // that on.
  if (!parameters_.parameters()[parameter].grad().defined()) return;
  received_[parameter] = true;
  waiting_[bucket].push_back(parameter);
  if (++came_[bucket] >= expected_[bucket]) take_in(bucket);
}

// Autograd has left the gradients in tensors of its own; from now on it adds to those in their places.
void AutogradGradients::take_in(std::size_t bucket) {
  const std::vector<std::size_t> waiting = std::exchange(waiting_[bucket], {});
  if (waiting.empty()) return;
  {
    const c10::NoGradGuard no_grad;
    std::vector<at::Tensor> places;
    std::vector<at::Tensor> gradients;
    for (const std::size_t parameter : waiting) {
      places.push_back(parameters_.gradients()[parameter]);
      gradients.push_back(parameters_.parameters()[parameter].grad());
    }
    at::_foreach_copy_(places, gradients);
    for (const std::size_t parameter : waiting) {
      parameters_.parameters()[parameter].mutable_grad() = parameters_.gradients()[parameter];
    }
  }
  if (sink_ == nullptr) return;
  for (const std::size_t parameter : waiting) tell(parameter, *sink_);
}

void AutogradGradients::tell(std::size_t parameter, GradientSink& sink) {
  told_[parameter] = true;
  sink.ready(parameter);
}

void AutogradGradients::end_step(GradientSink& sink) {
  for (std::size_t i = 0; i < received_.size(); ++i) {
    if (!received_[i]) continue;
    if (!told_[i]) tell(i, sink);
    const at::Tensor& gradient = parameters_.parameters()[i].grad();
    if (!gradient.defined() || gradient.const_data_ptr() != parameters_.gradients()[i].const_data_ptr()) {
      throw InternalError("the gradient of " + parameters_.plan().names()[i] + " is no longer in its bucket");
    }
  }
}

}  // namespace lockstep
