// The micro-batches of a step over samples in memory.
#pragma once

#include <c10/core/Device.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/data/ProgramSamples.h"
#include "engine/train/BatchSource.h"

namespace lockstep {

/// `count` samples from `first` on. Throws InputError as ProgramSamples::read does.
Batch read_batch(const ProgramSamples& samples, std::int64_t first, std::int64_t count, const c10::Device& device);

class MemoryBatches : public BatchSource {
 public:
  /// Of all the samples, `at_once` each; 0: all at once. They are read here, so that what is wrong with them is known
  /// before the step begins. Throws InputError as ProgramSamples::read does.
  MemoryBatches(const ProgramSamples& samples, std::int64_t at_once, const c10::Device& device);

  /// A rank without samples.
  MemoryBatches() : batches_(1) {}

  const std::vector<Batch>& batches() const { return batches_; }
  /// Samples of the last, which has the fewest.
  std::int64_t fewest() const { return batches_.back().size; }
  Batch next() override { return batches_.at(next_++); }

 private:
  std::vector<Batch> batches_;  ///< one without samples where there are none
  std::size_t next_ = 0;
};

}  // namespace lockstep
