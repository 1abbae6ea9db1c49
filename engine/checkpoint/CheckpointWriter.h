// From a snapshot to a checkpoint on disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/checkpoint/Snapshot.h"

namespace lockstep {

/// Writes snapshots of a job into its directory, each whole or not at all, and keeps the newest. Of a job's processes
/// one writes.
class CheckpointWriter {
 public:
  /// `directory` must outlive this. `keep`: how many checkpoints stay.
  CheckpointWriter(const CheckpointDirectory& directory, std::int64_t keep) : directory_(directory), keep_(keep) {}

  const CheckpointDirectory& directory() const { return directory_; }

  /// Tensors of a device come into the host's memory one after another. Returns which older checkpoints could not be
  /// removed, each with the reason: nothing is lost by it. Throws SystemError, or InputError when the directory cannot
  /// be written, and leaves what was there.
  std::vector<std::string> write(const Snapshot& snapshot) const;

 private:
  const CheckpointDirectory& directory_;
  std::int64_t keep_;
};

}  // namespace lockstep
