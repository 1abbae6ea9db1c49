// Brings micro-batches to the rank's device while the one before is computed.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <optional>

#include "engine/data/Loader.h"

namespace lockstep {

/// A micro-batch in the memory of the device, for work that is enqueued from now on.
struct DeviceBatch {
  std::int64_t size = 0;  ///< samples; 0: the rank has none, and there are no tensors
  bool last_of_step = true;
  at::Tensor inputs;
  at::Tensor targets;
};

/// On a CPU it hands over the loader's micro-batches in place. For a GPU they are copied on a stream of their own, one
/// ahead of the one in use: call `prefetch` when the work over what `next` returned is enqueued.
class Prefetcher {
 public:
  /// Keeps a reference to the loader. For a GPU the loader's buffers should be pinned (`pinned_memory`).
  Prefetcher(Loader& loader, const SampleShape& shape, Precision precision, const c10::Device& device);
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  ~Prefetcher();

  DeviceBatch next();
  void prefetch();

  /// What a Loader for this device should allocate its buffers with.
  static BufferPool::Allocate buffers_for(const c10::Device& device);

 private:
  struct Copy {
    MicroBatch source;  ///< must stay as it is until `done`
    DeviceBatch batch;
    c10::Event done;
  };
  DeviceBatch on_host(const MicroBatch& batch) const;
  Copy start_copy();

  Loader& loader_;
  SampleShape shape_;
  Precision precision_;
  c10::Device device_;
  std::optional<c10::Stream> stream_;
  std::optional<Copy> ahead_;
  std::optional<Copy> last_;  ///< of the micro-batch that `next` returned last
};

}  // namespace lockstep
