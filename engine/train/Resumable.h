// What can go on from a checkpoint.
#pragma once

#include "engine/checkpoint/Checkpoint.h"

namespace lockstep {

class Resumable {
 public:
  virtual ~Resumable() = default;
  /// Not a collective. Throws InputError, and changes nothing, for a checkpoint of this job that does not hold what it
  /// has written: a tensor is missing or not finite, or its step is not where it says.
  virtual void check(const SavedCheckpoint& checkpoint) = 0;
  /// Not a collective. Takes what `check` accepts. Throws InputError when the job has an earlier end; and when a file
  /// cannot be read or has changed since, which leaves some of both states: this can then not be trained.
  virtual void restore(const SavedCheckpoint& checkpoint) = 0;
};

}  // namespace lockstep
