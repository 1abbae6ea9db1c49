// All of a job's steps, known before the first.
#pragma once

#include <cstdint>

#include "engine/data/BatchPlan.h"
#include "engine/data/Order.h"
#include "engine/program/Graph.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// How many steps a job has, and which samples each rank takes in each of them. A value, the same on all ranks.
class TrainingPlan {
 public:
  /// `shards`: of the data set that is trained on.
  TrainingPlan(const Hyperparameters& hyperparameters, const Shards& shards);

  /// The order in which an epoch visits the samples of the rank's shard.
  /// What chance in a rank's samples follows from. Shards differ in it: neighbours of one place in them may have much
  /// in common.
  std::uint64_t data_seed(int rank) const;
  Order order(int rank) const;

  BatchPlan batches;  ///< of an epoch
  std::int64_t epochs;
  std::int64_t total_steps;  ///< of the job: those of its epochs, or max_steps

 private:
  Shards shards_;
  std::uint64_t seed_;
  bool shuffle_;
};

/// Samples that a rank evaluates at once, with this graph. Where no hyperparameter says it: no fewer than it trains on
/// at once, and else up to 256 whose values take little memory, so that evaluating takes no more of it than training.
std::int64_t eval_batch_size(const Hyperparameters& hyperparameters, int ranks, const Graph& inference);

}  // namespace lockstep
