// Which samples a rank reads, and when.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "engine/data/BatchPlan.h"
#include "engine/data/Order.h"

namespace lockstep {

/// Where training stands in the data. With the order's seed and the plan it is all that is needed to
/// continue.
struct LoaderPosition {
  std::int64_t epoch = 0;
  std::int64_t step = 0;  ///< within the epoch
};

/// The micro-batches of a rank in order, epoch after epoch without end: each step is one or more, or an empty one when
/// the rank has no data in it.
class RankSchedule {
 public:
  struct Task {
    Slice slice;               ///< positions of the epoch
    bool last_of_step = true;  ///< after this one the optimizer steps
    LoaderPosition position;   ///< of the step it belongs to
  };

  /// InternalError for a plan without samples and for a start that is not in the plan.
  RankSchedule(Order order, BatchPlan plan, int rank, LoaderPosition start);

  Task next();
  /// The samples of a task. Thread-safe.
  std::vector<std::int64_t> samples(const Task& task) const;

 private:
  Order order_;
  BatchPlan plan_;
  int rank_;
  LoaderPosition next_step_;  ///< whose tasks are not yet in tasks_
  std::deque<Task> tasks_;
};

}  // namespace lockstep
