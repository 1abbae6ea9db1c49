// Which samples each rank takes in each step: pure arithmetic, the same on every rank.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

/// A half-open range of positions in the epoch's order.
struct Slice {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

/// What one rank computes at once in a step.
struct Share {
  std::int64_t samples = 0;
  std::int64_t step = 0;
  int rank = 0;
};

/// Cuts an epoch of `samples` into global batches of `batch_size` (the last may be smaller: nothing is
/// dropped, padded or repeated), a global batch into one contiguous slice per rank (sizes differ by at most
/// one), and a slice into micro-batches of at most `micro_batch_size`. A rank's slice is empty, and has no
/// micro-batches, when a batch has too few samples for it. Steps count from 0 to steps() - 1.
class BatchPlan {
 public:
  /// micro_batch_size 0: a rank's whole slice is one micro-batch. InternalError for sizes that make no plan.
  BatchPlan(std::int64_t samples, std::int64_t batch_size, std::int64_t micro_batch_size, int ranks);

  std::int64_t steps() const;  ///< per epoch
  Slice batch(std::int64_t step) const;
  Slice slice(std::int64_t step, int rank) const;
  std::vector<Slice> micro_batches(std::int64_t step, int rank) const;
  /// The smallest micro-batch with samples of the first `steps` steps (at least one) of an epoch, and who has it first.
  Share smallest_share(std::int64_t steps) const;

 private:
  std::int64_t samples_;
  std::int64_t batch_size_;
  std::int64_t micro_batch_size_;
  int ranks_;
};

}  // namespace lockstep
