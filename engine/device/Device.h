// What a rank computes on.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace lockstep {

/// Work that was enqueued once and can be enqueued again as one piece, over the same memory.
class CapturedWork {
 public:
  virtual ~CapturedWork() = default;
  virtual void replay() = 0;
  /// Calls `work`, and lets what it allocates on the current stream have the memory of the captured work, which lies
  /// idle between replays: the two need the larger of both, not the sum. What `work` leaves behind the next replay
  /// overwrites.
  virtual void beside(const std::function<void()>& work) = 0;
};

/// One per rank, made before any tensor. Work is enqueued by one thread, and done when something that waits says so; on
/// a CPU it is done at once.
class Device {
 public:
  virtual ~Device() = default;

  virtual c10::Device place() const = 0;
  virtual std::string description() const = 0;
  /// The name of the card, by which its peaks are known; "" for a CPU.
  virtual std::string card() const { return ""; }
  /// "0000:3b:00.0": which of the host's cards it is, whatever CUDA_VISIBLE_DEVICES says; "" for a CPU.
  virtual std::string pci_bus_id() const { return ""; }
  /// Whether the host should go on while a step is computed, and learn its outcome during the next.
  virtual bool asynchronous() const = 0;
  /// Bytes that this process has held at most: of the device's memory, on a CPU of the host's.
  virtual std::int64_t peak_memory() const = 0;
  /// Where copies from the host may overlap with what is computed; nothing on a CPU.
  virtual std::optional<c10::Stream> copy_stream() const { return std::nullopt; }
  /// Memory of the host for such copies, of no more than these bytes and what makes the last page full; the device must
  /// outlive it. Any thread may call. Null where there is no copy stream.
  virtual std::shared_ptr<std::byte> pinned_memory(std::size_t /*bytes*/) const { return nullptr; }
  /// Calls `enqueue` and says what of it cannot be captured; "" when nothing was found.
  virtual std::string watch(const std::function<void()>& enqueue) = 0;
  /// Calls `enqueue` once, without anything being computed. Throws what kept it from being captured; the process can
  /// then do no more than end. Before, all that is enqueued must be done (see await_device), for the memory that lies
  /// idle is given back, which blocks the host until then.
  virtual std::unique_ptr<CapturedWork> capture(const std::function<void()>& enqueue) = 0;
  /// Where copies of what training changes may overlap with all else on their way to the host; nothing on a CPU.
  virtual std::optional<c10::Stream> snapshot_stream() const { return std::nullopt; }
};

}  // namespace lockstep
