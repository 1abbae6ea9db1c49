// Brings micro-batches to the rank's device while the one before is computed.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <optional>
#include <vector>

#include "engine/data/Loader.h"
#include "engine/device/Device.h"

namespace lockstep {

/// A micro-batch in the memory of the device.
struct DeviceBatch {
  std::int64_t size = 0;  ///< samples; 0: the rank has none, and there are no tensors
  bool last_of_step = true;
  at::Tensor inputs;
  at::Tensor targets;
};

/// On a CPU it hands over the loader's micro-batches in place. For a GPU they are copied on the device's copy stream
/// into one of two places, one ahead of the one in use: call `prefetch` when the work over what `next` returned is
/// enqueued. What `next` returns is good for work that is enqueued before the next call.
class Prefetcher {
 public:
  /// Keeps a reference to the loader, whose buffers should be those of `buffers_for`.
  Prefetcher(Loader& loader, const SampleShape& shape, Precision precision, const Device& device);
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  ~Prefetcher();

  DeviceBatch next();
  void prefetch();

  /// What a Loader for this device should allocate its buffers with: pinned memory for a GPU.
  static BufferPool::Allocate buffers_for(const Device& device);

 private:
  struct Place {
    explicit Place(c10::DeviceType type) : copied(type), used(type) {}
    MicroBatch source;  ///< must stay as it is until `copied`
    DeviceBatch batch;
    at::Tensor inputs;  ///< the memory that batches take a part of
    at::Tensor targets;
    c10::Event copied;
    c10::Event used;  ///< by all that was enqueued over it
  };
  DeviceBatch on_host(const MicroBatch& batch) const;
  at::Tensor copy(const at::Tensor& source, at::Tensor& memory) const;
  c10::Stream compute_stream() const;

  Loader& loader_;
  SampleShape shape_;
  Precision precision_;
  c10::Device device_;
  std::optional<c10::Stream> stream_;
  std::vector<Place> places_;  ///< two for a GPU
  std::size_t current_ = 0;    ///< of the batch that `next` returned last
  bool ahead_ = false;         ///< the other holds the batch after it
};

}  // namespace lockstep
