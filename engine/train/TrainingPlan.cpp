#include "engine/train/TrainingPlan.h"

#include <algorithm>

namespace lockstep {

namespace {

constexpr std::int64_t kSmallestDefaultEvalBatch = 256;

std::int64_t count_steps(const Hyperparameters& hyperparameters, const BatchPlan& epoch) {
  const std::int64_t steps = hyperparameters.epochs * epoch.steps();
  return hyperparameters.max_steps > 0 ? std::min(steps, hyperparameters.max_steps) : steps;
}

}  // namespace

TrainingPlan::TrainingPlan(const Hyperparameters& hyperparameters, std::int64_t samples, int ranks)
    : batches(samples, hyperparameters.batch_size, hyperparameters.micro_batch_size, ranks),
      order(hyperparameters.seed, samples, hyperparameters.shuffle),
      epochs(hyperparameters.epochs),
      total_steps(count_steps(hyperparameters, batches)) {}

std::int64_t eval_batch_size(const Hyperparameters& hyperparameters, int ranks) {
  if (hyperparameters.eval_batch_size > 0) return hyperparameters.eval_batch_size;
  const std::int64_t micro_batch = hyperparameters.micro_batch_size > 0
                                       ? hyperparameters.micro_batch_size
                                       : (hyperparameters.batch_size + ranks - 1) / ranks;
  return std::max(micro_batch, kSmallestDefaultEvalBatch);
}

}  // namespace lockstep
