#include "engine/train/TrainingPlan.h"

#include <algorithm>
#include <cstddef>

#include "common/SplitMix.h"
#include "engine/program/ActivationBytes.h"

namespace lockstep {

namespace {

constexpr double kMostDefaultEvalBatch = 256;
constexpr double kDefaultEvalBytes = 64 << 20;

std::int64_t count_steps(const Hyperparameters& hyperparameters, const BatchPlan& epoch) {
  const std::int64_t steps = hyperparameters.epochs * epoch.steps();
  return hyperparameters.max_steps > 0 ? std::min(steps, hyperparameters.max_steps) : steps;
}

}  // namespace

TrainingPlan::TrainingPlan(const Hyperparameters& hyperparameters, const Shards& shards)
    : batches(shards, hyperparameters.batch_size, hyperparameters.micro_batch_size),
      epochs(hyperparameters.epochs),
      total_steps(count_steps(hyperparameters, batches)),
      shards_(shards),
      seed_(hyperparameters.seed),
      shuffle_(hyperparameters.shuffle) {}

std::uint64_t TrainingPlan::data_seed(int rank) const {
  const std::size_t shard = shards_.of(rank);
  return shard == 0 ? seed_ : splitmix(seed_ ^ splitmix(shard));
}

Order TrainingPlan::order(int rank) const { return {data_seed(rank), shards_.samples_of(shards_.of(rank)), shuffle_}; }

std::int64_t eval_batch_size(const Hyperparameters& hyperparameters, int ranks, const Graph& inference) {
  if (hyperparameters.eval_batch_size > 0) return hyperparameters.eval_batch_size;
  const std::int64_t micro_batch = hyperparameters.micro_batch_size > 0
                                       ? hyperparameters.micro_batch_size
                                       : (hyperparameters.batch_size + ranks - 1) / ranks;
  const double small = std::min(kMostDefaultEvalBatch, kDefaultEvalBytes / std::max(forward_bytes(inference), 1.0));
  return std::max(micro_batch, static_cast<std::int64_t>(small));
}

}  // namespace lockstep
