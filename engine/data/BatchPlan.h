// Which samples each rank takes in each step: pure arithmetic, the same on every rank.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/data/Shards.h"

namespace lockstep {

/// What one rank computes at once in a step.
struct Share {
  std::int64_t samples = 0;
  std::int64_t step = 0;
  int rank = 0;
};

/// Cuts an epoch of `samples` into global batches of `batch_size` (the last may be smaller: nothing is
/// dropped, padded or repeated), a global batch into one contiguous slice per rank (Shards::share), and a slice into
/// micro-batches of at most `micro_batch_size`. A rank's slice is empty, and has no micro-batches, when a batch has too
/// few samples for it. Steps count from 0 to steps() - 1. Slices are of positions of the rank's shard.
class BatchPlan {
 public:
  /// micro_batch_size 0: a rank's whole slice is one micro-batch. InternalError for sizes that make no plan.
  BatchPlan(Shards shards, std::int64_t batch_size, std::int64_t micro_batch_size);
  /// Every rank has all samples.
  BatchPlan(std::int64_t samples, std::int64_t batch_size, std::int64_t micro_batch_size, int ranks)
      : BatchPlan(Shards(samples, ranks), batch_size, micro_batch_size) {}

  std::int64_t steps() const;  ///< per epoch
  Slice batch(std::int64_t step) const;
  /// Whether all ranks have equally many samples of the step.
  bool even(std::int64_t step) const;
  Slice slice(std::int64_t step, int rank) const;
  std::vector<Slice> micro_batches(std::int64_t step, int rank) const;
  /// Of the rank that has the most micro-batches in the step.
  std::int64_t most_micro_batches(std::int64_t step) const;
  /// The fewest samples that all ranks together have in their micro-batches of one number, of the first `steps` steps
  /// (at least one) of an epoch, and in which step; it is of no rank. Micro-batches count from 0 on each rank.
  Share smallest_together(std::int64_t steps) const;
  /// The smallest micro-batch with samples of the first `steps` steps (at least one) of an epoch, and who has it first.
  /// Where shards differ so do steps: all are looked at.
  Share smallest_share(std::int64_t steps) const;

 private:
  template <typename Look>
  void for_each_size(std::int64_t steps, const Look& look) const;

  Shards shards_;
  std::int64_t batch_size_;
  std::int64_t micro_batch_size_;
};

}  // namespace lockstep
