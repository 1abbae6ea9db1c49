#include "engine/collectives/GradientReducer.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "common/Error.h"

namespace lockstep {

GradientReducer::GradientReducer(FlatParameters& parameters, Communicator& communicator, Communicator& host)
    : parameters_(parameters),
      communicator_(communicator),
      host_(host),
      bucket_of_(parameters.plan().bucket_of_segments()) {
  if (parameters.plan().shares() > 1 && parameters.plan().shares() != communicator.size()) {
    throw InternalError("the plan has " + std::to_string(parameters.plan().shares()) + " shares for " +
                        std::to_string(communicator.size()) + " ranks");
  }
  received_.assign(bucket_of_.size(), false);
  // The memory outlives the registration as far as the driver knows: PyTorch's allocator keeps what is freed.
  communicator_.register_buffer(parameters_.flat_gradients().mutable_data_ptr(),
                                parameters_.flat_gradients().nbytes() + parameters_.riders().nbytes());
}

void GradientReducer::begin_step() {
  parameters_.riders().zero_();
  received_here_.assign(received_.size(), false);
  pending_.assign(parameters_.plan().buckets().size(), 0);
  for (std::size_t i = 0; i < bucket_of_.size(); ++i) {
    if (!agreed_ || received_[i]) ++pending_[bucket_of_[i]];
  }
  next_bucket_ = 0;
  works_.clear();
}

void GradientReducer::ready(std::size_t parameter) {
  const std::string& name = parameters_.plan().names()[parameter];
  if (agreed_ && !received_[parameter]) {
    throw InternalError("the gradient of " + name + " came in this step, unlike in the first");
  }
  if (received_here_[parameter]) {
    throw InternalError("the gradient of " + name + " came twice: a step's last backward must be one call");
  }
  received_here_[parameter] = true;
  --pending_[bucket_of_[parameter]];
  while (next_bucket_ < pending_.size() && pending_[next_bucket_] == 0) start_bucket();
}

void GradientReducer::start_bucket() {
  const Bucket& bucket = parameters_.plan().buckets()[next_bucket_++];
  for (std::size_t i = bucket.first_segment; i < bucket.end_segment; ++i) {
    if (!received_here_[i]) parameters_.gradients()[i].zero_();
  }
  if (communicator_.size() == 1) return;
  // The riders lie behind the last bucket and travel with it: a reduction of their own would cost a short step more
  // than their few bytes.
  const bool last = next_bucket_ == pending_.size();
  const DataType type = parameters_.scalar_type() == at::kDouble ? DataType::kFloat64 : DataType::kFloat32;
  const auto gradients_from = [&](std::int64_t element) {
    return static_cast<std::byte*>(parameters_.flat_gradients().mutable_data_ptr()) +
           static_cast<std::size_t>(element) * size_of(type);
  };
  const auto riders = static_cast<std::size_t>(last ? parameters_.riders().numel() : 0);
  if (parameters_.plan().shares() == 1) {
    works_.push_back(communicator_.all_reduce(gradients_from(bucket.offset),
                                              static_cast<std::size_t>(bucket.length) + riders, type, ReduceOp::kSum));
    return;
  }
  const kernels::FlatRange& own = parameters_.owned()[next_bucket_ - 1];
  works_.push_back(communicator_.reduce_scatter(gradients_from(bucket.offset), gradients_from(own.begin),
                                                static_cast<std::size_t>(own.length), type, ReduceOp::kSum));
  // Of these each rank needs all.
  if (last) {
    works_.push_back(communicator_.all_reduce(parameters_.riders().mutable_data_ptr(), riders, type, ReduceOp::kSum));
  }
}

void GradientReducer::finish() {
  while (next_bucket_ < pending_.size()) start_bucket();
  for (const auto& work : works_) work->wait();
  works_.clear();
  if (!agreed_) {
    agree();
  } else if (received_here_ != received_ && std::ranges::find(received_here_, true) != received_here_.end()) {
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
}

}  // namespace lockstep
