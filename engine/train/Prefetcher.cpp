#include "engine/train/Prefetcher.h"

#include <ATen/Functions.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "engine/train/MicroBatchTensors.h"

namespace lockstep {

Prefetcher::Prefetcher(Loader& loader, const SampleShape& shape, Precision precision, const Device& device)
    : loader_(loader), shape_(shape), precision_(precision), device_(device.place()), stream_(device.copy_stream()) {
  if (!stream_) return;
  for (int i = 0; i < 2; ++i) places_.emplace_back(device_.type());
}

Prefetcher::~Prefetcher() {
  for (const Place& place : places_) {
    try {
      place.copied.synchronize();
    } catch (const std::exception&) {  // the device has failed, and somebody is saying so
    }
  }
}

DeviceBatch Prefetcher::on_host(const MicroBatch& batch) const {
  DeviceBatch result{.size = batch.size, .last_of_step = batch.last_of_step, .inputs = {}, .targets = {}};
  if (batch.size == 0) return result;
  result.inputs = input_tensor(batch, shape_, precision_);
  result.targets = target_tensor(batch, shape_, precision_);
  return result;
}

c10::Stream Prefetcher::compute_stream() const {
  return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
}

// Into the first samples of `memory`, which is made as large as the largest batch.
at::Tensor Prefetcher::copy(const at::Tensor& source, at::Tensor& memory) const {
  if (!memory.defined() || memory.size(0) < source.size(0))
    memory = at::empty_like(source, source.options().device(device_));
  const at::Tensor target = memory.narrow(0, 0, source.size(0));
  const c10::StreamGuard guard(*stream_);
  target.copy_(source, /*non_blocking=*/true);
  return target;
}

void Prefetcher::prefetch() {
  if (!stream_ || ahead_) return;
  Place& place = places_[1 - current_];
  place.copied.synchronize();  // the copy before, long ago: its source may go
  place.source = loader_.next();
  place.batch = on_host(place.source);
  if (place.batch.size > 0) {
    place.used.block(*stream_);
    place.batch.inputs = copy(place.batch.inputs, place.inputs);
    place.batch.targets = copy(place.batch.targets, place.targets);
  }
  place.copied.record(*stream_);
  ahead_ = true;
}

DeviceBatch Prefetcher::next() {
  if (!stream_) return on_host(loader_.next());
  places_[current_].used.record(compute_stream());
  prefetch();
  current_ = 1 - current_;
  ahead_ = false;
  places_[current_].copied.block(compute_stream());
  return places_[current_].batch;
}

BufferPool::Allocate Prefetcher::buffers_for(const Device& device) {
  if (!device.copy_stream()) return {};
  return [](std::size_t bytes) {
    const at::Tensor memory =
        at::empty({static_cast<std::int64_t>(bytes)}, at::TensorOptions(at::kByte).pinned_memory(true));
    return std::shared_ptr<std::byte>(static_cast<std::byte*>(memory.mutable_data_ptr()), [memory](std::byte*) {});
  };
}

}  // namespace lockstep
