// Memory of the host for a copy of what a checkpoint holds.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "engine/checkpoint/Snapshot.h"
#include "engine/device/Device.h"

namespace lockstep {

/// Takes one copy at a time of the tensors of a snapshot that the next step changes, so that it can be written while
/// training goes on. What lies in one storage is copied at once. Of a GPU the memory is pinned and copies run on a
/// stream of their own, behind what the current stream has been given so far; on a CPU a copy is there when `copy`
/// returns. Tensors that nobody changes are shared: those of the host beside a GPU, the best state on a CPU,
/// and an optimizer's that are apart.
class SnapshotBuffer {
 public:
  /// `device` must outlive this.
  explicit SnapshotBuffer(const Device& device);

  /// Makes room for a snapshot like this one, unless there is: before the first copy, so that none has to wait for it.
  void reserve(const Checkpoint& like);
  std::int64_t bytes() const { return static_cast<std::int64_t>(size_); }

  /// The snapshot with tensors of this buffer, which are good until the next `copy`, and once `copied` has come. Both
  /// the buffer and `live` must stay until then.
  Snapshot copy(const Snapshot& live);
  /// Comes when the last copy is there; nothing on a CPU.
  std::optional<c10::Event>& copied() { return copied_; }

 private:
  /// What of a storage is copied, in elements, and where it goes, in bytes.
  struct Range {
    at::Tensor tensor;  ///< any that lies there
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::size_t place = 0;
  };
  using Ranges = std::map<std::pair<const void*, at::ScalarType>, Range>;

  bool copies(const at::Tensor& tensor) const { return tensor.device() == device_.place(); }
  Ranges ranges_of(const Checkpoint& checkpoint, std::size_t& bytes) const;
  at::Tensor here(const Range& range, const at::Tensor& like) const;

  const Device& device_;
  std::shared_ptr<std::byte> memory_;
  std::size_t size_ = 0;
  std::optional<c10::Event> copied_;
};

}  // namespace lockstep
