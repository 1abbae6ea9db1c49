// The micro-batches of a step over samples in memory.
#pragma once

#include <c10/core/Device.h>

#include <cstddef>
#include <vector>

#include "engine/data/ProgramSamples.h"
#include "engine/train/BatchSource.h"

namespace lockstep {

class MemoryBatches : public BatchSource {
 public:
  /// Of all the samples, `at_once` each; 0: all at once. They are read here, so that what is wrong with them is known
  /// before the step begins. Throws InputError as ProgramSamples::read does.
  MemoryBatches(const ProgramSamples& samples, std::int64_t at_once, const c10::Device& device);

  /// A rank without samples.
  MemoryBatches() : batches_(1) {}

  const std::vector<Batch>& batches() const { return batches_; }
  Batch next() override { return batches_.at(next_++); }

 private:
  std::vector<Batch> batches_;  ///< one without samples where there are none
  std::size_t next_ = 0;
};

}  // namespace lockstep
