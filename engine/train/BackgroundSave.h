// A snapshot on its way to disk while training goes on.
#pragma once

#include <c10/core/Event.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <optional>

#include "engine/checkpoint/CheckpointWriter.h"
#include "engine/checkpoint/Snapshot.h"
#include "engine/train/RankContext.h"
#include "engine/train/SnapshotBuffer.h"

namespace lockstep {

/// Copies a snapshot and has a thread write the copy, one at a time. The thread begins when the copy is there, and
/// never touches the device. Whoever ends this waits for what is being written.
class BackgroundSave {
 public:
  /// What is referred to must outlive this.
  BackgroundSave(const CheckpointWriter& writer, const RankContext& context)
      : writer_(writer), context_(context), buffer_(context.device) {}
  BackgroundSave(const BackgroundSave&) = delete;
  BackgroundSave& operator=(const BackgroundSave&) = delete;
  ~BackgroundSave();

  void reserve(const Checkpoint& like) { buffer_.reserve(like); }
  std::int64_t bytes() const { return buffer_.bytes(); }

  bool busy() const { return pending_ || writing_.valid(); }
  /// Only while it is not busy. What `live` shares may change in place once the event has come that this returns;
  /// nullptr: at once.
  c10::Event* begin(const Snapshot& live);
  /// What has become of it, once it is done. Call it often: it also has the thread begin. Does not wait.
  std::optional<WrittenCheckpoint> poll();
  /// The same, and waits. Nothing when there was none.
  std::optional<WrittenCheckpoint> finish();
  /// Waits so long at most for what is being written, whatever becomes of it.
  void linger(std::chrono::seconds most) const {
    if (writing_.valid()) writing_.wait_for(most);
  }

 private:
  /// A copy that is not there yet, and what it is of.
  struct Pending {
    Snapshot live;
    Snapshot copy;
  };

  bool arrived() { return !buffer_.copied() || buffer_.copied()->query(); }
  void write();

  const CheckpointWriter& writer_;
  RankContext context_;
  SnapshotBuffer buffer_;
  std::optional<Pending> pending_;
  std::future<WrittenCheckpoint> writing_;  ///< goes before the buffer
};

}  // namespace lockstep
