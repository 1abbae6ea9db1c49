#include "engine/train/Prefetcher.h"

#include <ATen/Functions.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "engine/train/MicroBatchTensors.h"

namespace lockstep {

Prefetcher::Prefetcher(Loader& loader, const SampleShape& shape, Precision precision, const Device& device,
                       Communicator& communicator)
    : loader_(loader),
      communicator_(communicator),
      shape_(shape),
      precision_(precision),
      device_(device.place()),
      stream_(device.copy_stream()) {
  if (!stream_) return;
  for (int i = 0; i < 2; ++i) places_.emplace_back(device_.type());
}

Prefetcher::~Prefetcher() {
  for (const Place& place : places_) {
    try {
      await(place.copied);
    } catch (const std::exception&) {  // the device has failed, and somebody is saying so
      return;
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

// Whether there was not room enough for the samples of `source`, as in the largest batch so far.
bool Prefetcher::make_room(at::Tensor& memory, const at::Tensor& source) const {
  if (memory.defined() && memory.size(0) >= source.size(0)) return false;
  memory = at::empty_like(source, source.options().device(device_));
  // The allocator shall not hand it on before the copy stream is done with it.
  c10::impl::VirtualGuardImpl(device_.type()).recordDataPtrOnStream(memory.storage().data_ptr(), *stream_);
  return true;
}

at::Tensor Prefetcher::copy(const at::Tensor& source, const at::Tensor& memory) const {
  const at::Tensor target = memory.narrow(0, 0, source.size(0));
  const c10::StreamGuard guard(*stream_);
  target.copy_(source, /*non_blocking=*/true);
  return target;
}

// The copies come behind computing, and that may come behind a collective.
void Prefetcher::await(const c10::Event& event) {
  communicator_.await([&] { return event.query(); });
}

void Prefetcher::prefetch() {
  if (!stream_ || ahead_) return;
  Place& place = places_[1 - current_];
  await(place.copied);  // the copy before, long ago: its source may go
  place.source = loader_.next();
  place.batch = on_host(place.source);
  if (place.batch.size > 0) {
    const bool inputs_moved = make_room(place.inputs, place.batch.inputs);
    const bool targets_moved = make_room(place.targets, place.batch.targets);
    if (inputs_moved || targets_moved) place.used.record(compute_stream());
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
  const auto pool = std::make_shared<BufferPool>([&device](std::size_t bytes) { return device.pinned_memory(bytes); });
  return [pool](std::size_t bytes) { return pool->take(bytes); };
}

}  // namespace lockstep
