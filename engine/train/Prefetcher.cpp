#include "engine/train/Prefetcher.h"

#include <ATen/Functions.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

#include "engine/train/MicroBatchTensors.h"

namespace lockstep {

Prefetcher::Prefetcher(Loader& loader, const SampleShape& shape, Precision precision, const c10::Device& device)
    : loader_(loader), shape_(shape), precision_(precision), device_(device) {
  if (!device_.is_cpu()) stream_ = c10::impl::VirtualGuardImpl(device_.type()).getStreamFromGlobalPool(device_);
}

Prefetcher::~Prefetcher() {
  for (const auto& copy : {&ahead_, &last_}) {
    if (*copy) (*copy)->done.synchronize();
  }
}

DeviceBatch Prefetcher::on_host(const MicroBatch& batch) const {
  DeviceBatch result{.size = batch.size, .last_of_step = batch.last_of_step, .inputs = {}, .targets = {}};
  if (batch.size == 0) return result;
  result.inputs = input_tensor(batch, shape_, precision_);
  result.targets = target_tensor(batch, shape_, precision_);
  return result;
}

Prefetcher::Copy Prefetcher::start_copy() {
  MicroBatch source = loader_.next();
  DeviceBatch batch = on_host(source);
  const c10::Stream compute = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
  const c10::StreamGuard guard(*stream_);
  for (at::Tensor* tensor : {&batch.inputs, &batch.targets}) {
    if (!tensor->defined()) continue;
    *tensor = tensor->to(device_, /*non_blocking=*/true);
    tensor->record_stream(compute);  // its memory is used there, though it comes from this stream's pool
  }
  c10::Event done(device_.type());
  done.record(*stream_);
  return {.source = std::move(source), .batch = std::move(batch), .done = std::move(done)};
}

DeviceBatch Prefetcher::next() {
  if (!stream_) return on_host(loader_.next());
  prefetch();
  if (last_) last_->done.synchronize();  // copied long ago: its buffers may go
  last_ = std::exchange(ahead_, std::nullopt);
  last_->done.block(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  return std::move(last_->batch);
}

void Prefetcher::prefetch() {
  if (stream_ && !ahead_) ahead_ = start_copy();
}

BufferPool::Allocate Prefetcher::buffers_for(const c10::Device& device) {
  if (device.is_cpu()) return {};
  return [](std::size_t bytes) {
    const at::Tensor memory =
        at::empty({static_cast<std::int64_t>(bytes)}, at::TensorOptions(at::kByte).pinned_memory(true));
    return std::shared_ptr<std::byte>(static_cast<std::byte*>(memory.mutable_data_ptr()), [memory](std::byte*) {});
  };
}

}  // namespace lockstep
