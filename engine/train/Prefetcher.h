// Brings micro-batches to the rank's device while the one before is computed.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <optional>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/data/Loader.h"
#include "engine/device/Device.h"
#include "engine/train/BatchSource.h"

namespace lockstep {

/// On a CPU it hands over the loader's micro-batches in place. Pixels that the samples leave as bytes (`samples_for`)
/// become float32 in `next`. For a GPU they are copied on the device's copy stream
/// into one of two places, one ahead of the one in use: call `prefetch` when the work over what `next` returned is
/// enqueued. What `next` returns is good for work that is enqueued before the next call.
///
/// The places are memory of the compute stream, the current one where `next` and `prefetch` are called: PyTorch's
/// allocator may hand out what kernels there still work on, for they come before all that is enqueued there later. On
/// the copy stream they do not: each copy waits for what was enqueued before the place was made, or last used.
class Prefetcher : public BatchSource {
 public:
  /// Keeps references to the loader, whose buffers should be those of `buffers_for`, to the samples it reads, and to
  /// the communicator for the device's memory, through which the host waits.
  Prefetcher(Loader& loader, const ProgramSamples& samples, const Device& device, Communicator& communicator);
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  ~Prefetcher() override;

  Batch next() override;
  void prefetch() override;

  /// The samples as a loader for this device should read them: for a GPU, pixels stay bytes until they are there.
  static ProgramSamples samples_for(const Device& device, const ProgramSamples& samples);
  /// What Loaders for this device should allocate their buffers with: pinned memory for a GPU, which is lent again to
  /// the next Loader, for pinning is slow. The device must outlive it.
  static BufferPool::Allocate buffers_for(const Device& device);

 private:
  struct Place {
    explicit Place(c10::DeviceType type) : copied(type), used(type) {}
    MicroBatch source;  ///< must stay as it is until `copied`
    Batch batch;
    std::vector<at::Tensor> columns{};  ///< the memory that batches take a part of, by column
    c10::Event copied;
    c10::Event used;  ///< by all that was enqueued over it, or over what its memory was before
  };
  Batch batch_of(const MicroBatch& batch, std::vector<at::Tensor> columns) const;
  bool make_room(at::Tensor& memory, const at::Tensor& source) const;
  at::Tensor copy(const at::Tensor& source, const at::Tensor& memory) const;
  void await(const c10::Event& event);
  Batch computed(Batch batch) const;
  c10::Stream compute_stream() const;

  Loader& loader_;
  Communicator& communicator_;
  const ProgramSamples& samples_;
  c10::Device device_;
  std::optional<c10::Stream> stream_;
  std::vector<Place> places_;  ///< two for a GPU
  std::size_t current_ = 0;    ///< of the batch that `next` returned last
  bool ahead_ = false;         ///< the other holds the batch after it
};

}  // namespace lockstep
