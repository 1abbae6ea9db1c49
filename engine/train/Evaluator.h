// How good a state is on a data set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/collectives/Communicator.h"
#include "engine/data/BufferPool.h"
#include "engine/data/Dataset.h"
#include "engine/device/Device.h"
#include "engine/program/Executor.h"
#include "engine/report/Metrics.h"
#include "engine/train/Objective.h"
#include "engine/train/StopToken.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Means over the samples of a data set, each counted exactly once over all ranks.
struct Evaluation {
  double loss = 0;
  std::optional<double> accuracy;  ///< class labels only: the share of all labels, several of a sample or one
  std::optional<double> top5;      ///< class labels and at least five classes only

  /// What was measured, under names such as `test_accuracy`.
  Metrics metrics(const std::string& channel) const;
  /// "loss", "accuracy" or "top5"; InputError when it was not measured.
  double metric(const std::string& name) const;
};

/// Runs a program of a device, in its inference form, over a data set split over the ranks. Sees changes made to the
/// program's tensors in place. The host enqueues batch after batch and reads the sums once, at the end.
class Evaluator {
 public:
  /// `batch_size`: samples a rank runs at once. `communicator`: for the memory of the device; `host`: for the host's.
  Evaluator(const Device& device, const Program& inference_program, Objective objective, Precision precision,
            std::int64_t batch_size, int loader_threads, Communicator& communicator, Communicator& host);

  /// A collective: every rank must call it with the same data set, and gets the same result: nothing when `stop` ended
  /// it early on any of them.
  std::optional<Evaluation> evaluate(const Dataset& dataset, const StopRequested& stop);

 private:
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
