// A step that is enqueued once and replayed.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/collectives/Communicator.h"
#include "engine/device/Device.h"
#include "engine/train/Batch.h"

namespace lockstep {

/// Runs steps of one micro-batch, all of the same size: the first few as they are, the last of these watched by the
/// device, and all further ones as a replay of the next. When something in a step cannot be captured, on any rank,
/// steps go on as before.
///
/// What throws in a step must be followed by `let_go`: NCCL does not come back from an abort while a captured
/// collective is there.
class CapturedStep {
 public:
  /// Enqueues a step over `batch`. Must read nothing of the host's that changes from step to step.
  using Compute = std::function<void(const Batch& batch)>;

  /// Keeps references. `communicator`: what is captured uses it; `host`: for the host's memory.
  CapturedStep(Device& device, Communicator& communicator, Communicator& host)
      : device_(device), communicator_(communicator), host_(host) {}

  /// A collective in the step that is watched. Returns whether the step was a replay.
  bool run(const Batch& batch, const Compute& compute);
  /// Calls `work`, which may allocate what lies idle between replays: nothing of it may be used after the next `run`.
  void beside(const std::function<void()>& work) { captured_ ? captured_->beside(work) : work(); }
  void let_go() { captured_.reset(); }

  bool captured() const { return captured_ != nullptr; }
  /// Why steps are not captured; "" when nothing is wrong.
  const std::string& failure() const { return failure_; }

 private:
  void watch(const Batch& batch, const Compute& compute);
  void capture(const Batch& batch, const Compute& compute);

  Device& device_;
  Communicator& communicator_;
  Communicator& host_;
  int steps_ = 0;  ///< that ran before one is captured
  Batch batch_;    ///< what the captured step reads
  std::unique_ptr<CapturedWork> captured_;
  std::string failure_;
};

}  // namespace lockstep
