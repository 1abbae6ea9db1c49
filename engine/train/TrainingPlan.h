// All of a job's steps, known before the first.
#pragma once

#include <cstdint>

#include "engine/data/BatchPlan.h"
#include "engine/data/Order.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// How many steps a job has, and which samples each rank takes in each of them. A value, the same on all ranks.
struct TrainingPlan {
  /// `samples`: of the data set that is trained on.
  TrainingPlan(const Hyperparameters& hyperparameters, std::int64_t samples, int ranks);

  BatchPlan batches;  ///< of an epoch
  Order order;        ///< in which an epoch visits the samples
  std::int64_t epochs;
  std::int64_t total_steps;  ///< of the job: those of its epochs, or max_steps
};

/// Samples that a rank evaluates at once.
std::int64_t eval_batch_size(const Hyperparameters& hyperparameters, int ranks);

}  // namespace lockstep
