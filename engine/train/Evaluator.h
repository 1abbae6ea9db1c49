// How good a state is on a data set.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/data/BatchPlan.h"
#include "engine/data/BufferPool.h"
#include "engine/data/ProgramSamples.h"
#include "engine/device/Device.h"
#include "engine/objective/Evaluation.h"
#include "engine/objective/Objective.h"
#include "engine/program/Executor.h"
#include "engine/train/MetricTotals.h"
#include "engine/train/StopToken.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Runs a program of a device, in its inference form, over a data set split over the ranks, and measures the
/// objective's metrics: each sample counts exactly once over all ranks. Sees changes made to the program's tensors in
/// place. The host enqueues batch after batch and reads the sums once, at the end.
class Evaluator {
 public:
  /// `batch_size`: samples a rank runs at once; with a loss over the whole batch (Loss::of_whole_batch) those of all
  /// ranks together, so that the number of ranks does not show. `communicator`: for the memory of the device; `host`:
  /// for the host's.
  Evaluator(const Device& device, const Program& inference_program, Objective objective, Precision precision,
            std::int64_t batch_size, int loader_threads, Communicator& communicator, Communicator& host);

  /// A collective: every rank must call it with the same samples, and gets the same result: nothing when `stop` ended
  /// it early on any of them. Metrics are NaN where no position of the samples counts.
  std::optional<Evaluation> evaluate(const ProgramSamples& samples, const StopRequested& stop);

 private:
  BatchPlan plan(const ProgramSamples& samples) const;
  bool stops(const StopRequested& stop);
  void measure_whole(std::vector<at::Tensor> outputs, MetricTotals& totals);

  const Device& device_;
  Executor executor_;
  Objective objective_;
  Precision precision_;
  std::int64_t batch_size_;
  int loader_threads_;
  Communicator& communicator_;
  Communicator& host_;
  BufferPool::Allocate buffers_;
};

}  // namespace lockstep
