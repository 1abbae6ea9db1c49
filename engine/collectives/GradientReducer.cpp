#include "engine/collectives/GradientReducer.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cstdint>
#include <functional>

#include "common/Error.h"

namespace lockstep {

// Autograd owns the hooks for as long as its graph lives, which may be longer than the reducer: they call
// through this.
struct GradientReducer::Hooks {
  std::function<void(std::size_t)> ready;
  // A parameter refers to its accumulator weakly: without an owner the hook would go with the first graph.
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators;
};

GradientReducer::GradientReducer(FlatParameters& parameters, Communicator& communicator, Communicator& host)
    : parameters_(parameters), communicator_(communicator), host_(host), hooks_(std::make_shared<Hooks>()) {
  const BucketPlan& plan = parameters.plan();
  for (std::size_t bucket = 0; bucket < plan.buckets().size(); ++bucket) {
    const Bucket& placed = plan.buckets()[bucket];
    bucket_of_.insert(bucket_of_.end(), placed.end_segment - placed.first_segment, bucket);
  }
  received_.assign(plan.segments().size(), false);
  // The memory outlives the registration as far as the driver knows: PyTorch's allocator keeps what is freed.
  communicator_.register_buffer(parameters_.flat_gradients().mutable_data_ptr(),
                                parameters_.flat_gradients().nbytes() + parameters_.riders().nbytes());
  hooks_->ready = [this](std::size_t parameter) { ready(parameter); };
  for (std::size_t i = 0; i < parameters.parameters().size(); ++i) {
    auto accumulator = torch::autograd::impl::grad_accumulator(parameters.parameters()[i]);
    using torch::autograd::variable_list;
    accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
        [hooks = std::weak_ptr(hooks_), i](const variable_list& outputs, const variable_list&) {
          if (const auto alive = hooks.lock()) alive->ready(i);
          return outputs;
        }));
    hooks_->accumulators.push_back(std::move(accumulator));
  }
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::begin_step() {
  parameters_.riders().zero_();
  // Without a gradient to add to, autograd hands its own over, and `ready` copies it into the bucket.
  for (const at::Tensor& parameter : parameters_.parameters()) parameter.mutable_grad() = at::Tensor();
  received_here_.assign(received_.size(), false);
  arrived_.assign(parameters_.plan().buckets().size(), {});
  pending_.assign(parameters_.plan().buckets().size(), 0);
  for (std::size_t i = 0; i < bucket_of_.size(); ++i) {
    if (!agreed_ || received_[i]) ++pending_[bucket_of_[i]];
  }
  last_micro_batch_ = false;
  next_bucket_ = 0;
  works_.clear();
}

void GradientReducer::last_micro_batch() { last_micro_batch_ = true; }

void GradientReducer::ready(std::size_t parameter) {
  const std::size_t bucket = bucket_of_[parameter];
  const std::string& name = parameters_.plan().names()[parameter];
  if (agreed_ && !received_[parameter]) {
    throw InternalError("the gradient of " + name + " came in this step, unlike in the first");
  }
  if (bucket < next_bucket_) {
    throw InternalError("the gradient of " + name +
                        " came after its bucket's all-reduce had begun: a step's last backward must be one call");
  }
  if (!received_here_[parameter]) {
    received_here_[parameter] = true;
    arrived_[bucket].push_back(parameter);
    if (!agreed_ || arrived_[bucket].size() == expected_[bucket]) take_in(bucket);
  }
  if (!last_micro_batch_) return;
  --pending_[bucket];
  while (next_bucket_ < pending_.size() && pending_[next_bucket_] == 0) start_bucket();
}

// Autograd has left the gradients in tensors of its own; from now on it adds to the bucket's.
void GradientReducer::take_in(std::size_t bucket) {
  if (arrived_[bucket].empty()) return;
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> places;
  std::vector<at::Tensor> gradients;
  for (const std::size_t parameter : arrived_[bucket]) {
    places.push_back(parameters_.gradients()[parameter]);
    gradients.push_back(parameters_.parameters()[parameter].grad());
  }
  at::_foreach_copy_(places, gradients);
  for (const std::size_t parameter : arrived_[bucket]) {
    parameters_.parameters()[parameter].mutable_grad() = parameters_.gradients()[parameter];
  }
  arrived_[bucket].clear();
}

void GradientReducer::start_bucket() {
  take_in(next_bucket_);
  const Bucket& bucket = parameters_.plan().buckets()[next_bucket_++];
  for (std::size_t i = bucket.first_segment; i < bucket.end_segment; ++i) {
    if (received_here_[i]) continue;
    parameters_.gradients()[i].zero_();
    parameters_.parameters()[i].mutable_grad() = parameters_.gradients()[i];
  }
  if (communicator_.size() == 1) return;
  // The riders lie behind the last bucket and travel with it.
  const bool last = next_bucket_ == pending_.size();
  const DataType type = parameters_.scalar_type() == at::kDouble ? DataType::kFloat64 : DataType::kFloat32;
  auto* gradients = static_cast<std::byte*>(parameters_.flat_gradients().mutable_data_ptr());
  works_.push_back(communicator_.all_reduce(
      gradients + static_cast<std::size_t>(bucket.offset) * size_of(type),
      static_cast<std::size_t>(bucket.length + (last ? parameters_.riders().numel() : 0)), type, ReduceOp::kSum));
}

void GradientReducer::finish() {
  while (next_bucket_ < pending_.size()) start_bucket();
  for (const auto& work : works_) work->wait();
  works_.clear();
  for (std::size_t i = 0; i < received_.size(); ++i) {
    const at::Tensor& gradient = parameters_.parameters()[i].grad();
    if (!gradient.defined() || gradient.const_data_ptr() != parameters_.gradients()[i].const_data_ptr()) {
      throw InternalError("the gradient of " + parameters_.plan().names()[i] + " is no longer in its bucket");
    }
  }
  if (!agreed_) {
    agree();
  } else if (last_micro_batch_ && received_here_ != received_) {
    const auto missing = std::ranges::mismatch(received_here_, received_).in1 - received_here_.begin();
    throw InternalError("the gradient of " + parameters_.plan().names()[static_cast<std::size_t>(missing)] +
                        " did not come in this step, unlike in the first");
  }
}

void GradientReducer::agree() {
  std::vector<std::int64_t> flags(received_here_.begin(), received_here_.end());
  if (host_.size() > 1) {
    host_.all_reduce(flags.data(), flags.size(), DataType::kInt64, ReduceOp::kMax)->wait();
  }
  received_.assign(flags.begin(), flags.end());
  agreed_ = std::ranges::find(received_, true) != received_.end();
  expected_.assign(parameters_.plan().buckets().size(), 0);
  for (std::size_t i = 0; i < received_.size(); ++i) expected_[bucket_of_[i]] += received_[i] ? 1 : 0;
}

}  // namespace lockstep
