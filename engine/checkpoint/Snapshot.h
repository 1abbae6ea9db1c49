// What a checkpoint holds, and after which step.
#pragma once

#include <cstdint>
#include <utility>

#include "engine/checkpoint/Checkpoint.h"

namespace lockstep {

/// The state of a job after a step: all that a checkpoint of that step holds. Whoever writes it while training waits
/// takes training's own tensors, wherever they are; whoever writes beside training takes a copy of them, for the next
/// step changes the model and the optimizer's state in place.
class Snapshot {
 public:
  /// Shares the tensors. The device must have done all that was enqueued before anybody reads them.
  explicit Snapshot(Checkpoint contents) : contents_(std::move(contents)) {}

  std::int64_t step() const { return contents_.state.step; }
  const Checkpoint& contents() const { return contents_; }

 private:
  Checkpoint contents_;
};

}  // namespace lockstep
