#include "engine/train/Prefetcher.h"

#include <ATen/Functions.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "engine/train/MicroBatchTensors.h"
#include "engine/train/Pixels.h"

namespace lockstep {

Prefetcher::Prefetcher(Loader& loader, const ProgramSamples& samples, const Device& device, Communicator& communicator)
    : loader_(loader),
      communicator_(communicator),
      samples_(samples),
      device_(device.place()),
      stream_(device.copy_stream()) {
  if (!stream_) return;
  for (int i = 0; i < 2; ++i) {
    places_.emplace_back(device_.type());
    places_.back().columns.resize(samples.columns().size());
  }
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

Batch Prefetcher::batch_of(const MicroBatch& batch, std::vector<at::Tensor> columns) const {
  Batch result{.size = batch.size, .last_of_step = batch.last_of_step};
  if (batch.size == 0) return result;
  if (samples_.has_weights()) {
    result.weights = columns.back();
    columns.pop_back();
  }
  if (samples_.has_targets()) {
    result.targets = columns.back();
    columns.pop_back();
  }
  result.inputs = std::move(columns);
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
  std::vector<at::Tensor> columns = column_tensors(place.source, samples_);
  bool moved = false;
  for (std::size_t i = 0; i < columns.size(); ++i) moved |= make_room(place.columns[i], columns[i]);
  if (moved) place.used.record(compute_stream());
  if (!columns.empty()) place.used.block(*stream_);
  for (std::size_t i = 0; i < columns.size(); ++i) columns[i] = copy(columns[i], place.columns[i]);
  place.batch = batch_of(place.source, std::move(columns));
  place.copied.record(*stream_);
  ahead_ = true;
}

// On the compute stream, right before the work that wants it.
Batch Prefetcher::computed(Batch batch) const {
  for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
    if (const auto& pixels = samples_.input(i).pixels) batch.inputs[i] = normalized_pixels(batch.inputs[i], *pixels);
  }
  return batch;
}

Batch Prefetcher::next() {
  if (!stream_) {
    const MicroBatch batch = loader_.next();
    return computed(batch_of(batch, column_tensors(batch, samples_)));
  }
  places_[current_].used.record(compute_stream());
  prefetch();
  current_ = 1 - current_;
  ahead_ = false;
  places_[current_].copied.block(compute_stream());
  return computed(places_[current_].batch);
}

ProgramSamples Prefetcher::samples_for(const Device& device, const ProgramSamples& samples) {
  return device.copy_stream() ? samples.with_pixels_as_stored() : samples;
}

BufferPool::Allocate Prefetcher::buffers_for(const Device& device) {
  if (!device.copy_stream()) return {};
  const auto pool = std::make_shared<BufferPool>([&device](std::size_t bytes) { return device.pinned_memory(bytes); });
  return [pool](std::size_t bytes) { return pool->take(bytes); };
}

}  // namespace lockstep
