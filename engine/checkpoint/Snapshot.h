// What a checkpoint holds, and after which step.
#pragma once

#include <cstdint>
#include <utility>

#include "engine/checkpoint/Checkpoint.h"

namespace lockstep {

/// The state of a job after a step: all that a checkpoint of that step holds. Whoever writes it while training waits
/// takes it as it is; whoever writes beside training takes `owned`.
class Snapshot {
 public:
  /// Shares the tensors, which are wherever training has them: the next step changes the model and the optimizer's
  /// state in place. The device must have done all that was enqueued before anybody reads them.
  explicit Snapshot(Checkpoint live) : contents_(std::move(live)) {}

  /// The same with a model and an optimizer's state of its own, in the host's memory, of which that much is held as
  /// long as this. The ranks' statistics, in the host's memory, and the best state, on the device, stay shared: nobody
  /// changes them once they are made. Nothing writes beside training yet.
  Snapshot owned() const;

  std::int64_t step() const { return contents_.state.step; }
  const Checkpoint& contents() const { return contents_; }

 private:
  Checkpoint contents_;
};

}  // namespace lockstep
