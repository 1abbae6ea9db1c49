// From a snapshot to a checkpoint on disk.
#pragma once

#include <cstdint>
#include <exception>
#include <future>
#include <string>
#include <vector>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/checkpoint/Snapshot.h"

namespace lockstep {

/// How a snapshot has fared.
struct WrittenCheckpoint {
  std::int64_t step = 0;
  double seconds = 0;  ///< that it took to write
  std::vector<std::string>
      not_pruned{};              ///< older ones that could not be removed, with the reason: nothing is lost by it
  std::exception_ptr failure{};  ///< why it is not there, as `write` throws it; what was there still is
};

/// Writes snapshots of a job into its directory, each whole or not at all, and keeps the newest. Of a job's processes
/// that share a directory one writes, one snapshot at a time.
class CheckpointWriter {
 public:
  /// `directory` must outlive this. `keep`: how many checkpoints stay.
  CheckpointWriter(const CheckpointDirectory& directory, std::int64_t keep) : directory_(directory), keep_(keep) {}

  const CheckpointDirectory& directory() const { return directory_; }

  /// Tensors of a device come into the host's memory one after another. Returns which older checkpoints could not be
  /// removed, each with the reason: nothing is lost by it. Throws SystemError, or InputError when the directory cannot
  /// be written, and leaves what was there.
  std::vector<std::string> write(const Snapshot& snapshot) const;
  /// The same, and says how it went.
  WrittenCheckpoint attempt(const Snapshot& snapshot) const;
  /// `attempt` on a thread of its own, which gives way to others of this machine: `snapshot` is in the host's memory,
  /// and nobody changes it until this is done.
  std::future<WrittenCheckpoint> start(Snapshot snapshot) const;

 private:
  const CheckpointDirectory& directory_;
  std::int64_t keep_;
};

}  // namespace lockstep
