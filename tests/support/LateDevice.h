// A device with streams, in the host's memory, that executes as late as it may.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/device/Device.h"

namespace lockstep {

/// What PyTorch finds as device type PrivateUse1: its tensors, streams and events run through the dispatcher as a GPU's
/// do, and operators that it lacks run on the CPU, which waits for it. Copies, and what tests enqueue, run when the
/// host waits for them or asks, and no sooner; of one chosen stream, that of the copies if not the compute stream, they
/// run as soon as what that stream was told to wait for is done. So an order that nobody asked for shows in what is
/// computed.
///
/// Memory that is freed is handed out again at once to whoever asks on the same stream, as PyTorch's allocator for CUDA
/// does it. A freed buffer of `pinned_memory` is overwritten.
///
/// A stream that is stuck stands for one that waits for a rank that is silent: whatever would block the host until that
/// stream is done throws std::logic_error, for there it would wait for ever.
///
/// One at a time in a process; each begins with empty streams. Link tests/support/LateKernelForm.cpp, for kernels to
/// run when what was enqueued before them has.
class LateDevice : public Device {
 public:
  enum class Eager { kCompute, kCopy };
  explicit LateDevice(Eager eager = Eager::kCopy);
  ~LateDevice() override;

  c10::Device place() const override;
  std::string description() const override { return "late"; }
  bool asynchronous() const override { return true; }
  /// Bytes of all pools at most since it was made.
  std::int64_t peak_memory() const override;
  std::optional<c10::Stream> copy_stream() const override;
  std::optional<c10::Stream> snapshot_stream() const override;
  std::shared_ptr<std::byte> pinned_memory(std::size_t bytes) const override;
  std::string watch(const std::function<void()>& enqueue) override;
  /// Gives back the memory that lies idle, which blocks the host. What is captured has a pool of its own; it is
  /// replayed by calling `enqueue` again.
  std::unique_ptr<CapturedWork> capture(const std::function<void()>& enqueue) override;

  /// Enqueues `work` on the current stream.
  static void enqueue(std::function<void()> work);
  /// What is enqueued on the current stream from now on is never done, until the device goes.
  static void get_stuck();
  /// Runs what the compute stream may run, if it is not stuck.
  static void settle();
  /// How often something has blocked the host until the device was done.
  static int host_waits();
  /// The values of a tensor of float32 in the device's memory, as they are now: nothing is run.
  static float* memory(const at::Tensor& tensor);
};

}  // namespace lockstep
