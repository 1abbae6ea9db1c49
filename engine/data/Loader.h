// Micro-batches made by threads while the previous step runs.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/data/BatchPlan.h"
#include "engine/data/Dataset.h"
#include "engine/data/Order.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Where training stands in the data: with the data set and the plan, all that is needed to continue.
struct LoaderPosition {
  std::int64_t epoch = 0;
  std::int64_t step = 0;  ///< within the epoch
};

/// One micro-batch in memory, ready to be used in place. 64-byte aligned.
struct MicroBatch {
  std::int64_t size = 0;    ///< samples; 0 marks a step in which this rank has no data
  bool last_of_step = true; ///< after this one the optimizer steps
  LoaderPosition position;  ///< of the step it belongs to
  std::shared_ptr<std::byte> inputs;   ///< size × input shape, float or double as the precision says
  std::shared_ptr<std::byte> targets;  ///< size × int64 class labels, or size × target shape in the input's type
};

/// Yields this rank's micro-batches in order, epoch after epoch, each step as one or more micro-batches (exactly one,
/// empty, when the rank has no data in it). `threads` threads prepare at most `ahead` micro-batches beyond the one in
/// use. Results do not depend on the number of threads. An error in a thread is thrown by `next`.
class Loader {
 public:
  Loader(const Dataset& dataset, Order order, BatchPlan plan, int rank, Precision precision, int threads,
         LoaderPosition start = {}, int ahead = 4);
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;
  ~Loader();

  MicroBatch next();
  /// Seconds the caller has waited in `next` so far.
  double seconds_waited() const { return seconds_waited_; }
};

}  // namespace lockstep
