// Where a step's micro-batches come from.
#pragma once

#include "engine/train/Batch.h"

namespace lockstep {

/// Micro-batches on the rank's device, one after another. What `next` returned is good for work that is enqueued before
/// the next call.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual Batch next() = 0;
  /// The work over what `next` returned is enqueued: the one after it may be brought meanwhile.
  virtual void prefetch() {}
};

}  // namespace lockstep
