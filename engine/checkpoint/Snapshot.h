// What a checkpoint holds, in memory of its own.
#pragma once

#include <cstdint>

#include "engine/checkpoint/Checkpoint.h"

namespace lockstep {

/// The state of a job after a step: all that a checkpoint of that step holds. A snapshot owns its tensors, which are in
/// the host's memory, so training may go on while somebody writes them, whoever that is.
class Snapshot {
 public:
  /// Copies the model and the optimizer's state, which the next step changes, into the host's memory: that much memory
  /// is held as long as the snapshot. Statistics of the ranks and the best state are shared, for nobody changes them
  /// once they are made. The device must have done all that was enqueued.
  explicit Snapshot(Checkpoint live);

  std::int64_t step() const { return contents_.state.step; }
  const Checkpoint& contents() const { return contents_; }

 private:
  Checkpoint contents_;
};

}  // namespace lockstep
