// What training changes on a rank.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/checkpoint/Checkpoint.h"
#include "engine/collectives/FlatParameters.h"
#include "engine/collectives/SharedUpdate.h"
#include "engine/optim/Optimizers.h"
#include "engine/optim/WeightAverage.h"
#include "engine/program/Program.h"
#include "engine/report/Events.h"
#include "engine/train/RankContext.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The program's tensors on the device, its trained parameters in flat storage, and the optimizer's state. Parameters
/// are the same on all ranks after each step, and so is the optimizer, of which each holds its share alone with
/// shard_optimizer; running statistics are each rank's own until they are averaged. Steps are made by a StepQueue,
/// which must have finished all of them before anything here reads or writes what they change.
class TrainedModel {
 public:
  /// `program`: the job's; `rewritten`: the same after its passes, on the device; `buckets`: the plan of the latter;
  /// `optimizers`: that the job may name.
  TrainedModel(const Hyperparameters& hyperparameters, const Program& program, Program rewritten, BucketPlan buckets,
               const RankContext& context, const std::vector<OptimizerKind>& optimizers = built_in_optimizers());

  const Program& program() const { return program_; }  ///< what is trained
  /// The same tensors under the inference form of the job's graph.
  const Program& inference() const { return inference_; }
  /// What training is for, and what is evaluated and exported: `program` and `inference`, or with ema_decay the same
  /// with averaged parameters and the model's own buffers.
  const Program& judged_program() const { return average_ ? average_->program : program_; }
  const Program& judged_inference() const { return average_ ? average_->inference : inference_; }
  FlatParameters& parameters() { return parameters_; }
  Optimizer& optimizer() { return *optimizer_; }
  SharedUpdate* shared_update() { return shared_ ? &*shared_ : nullptr; }       ///< nullptr where each rank updates all
  WeightAverage* average() { return average_ ? &average_->weights : nullptr; }  ///< nullptr without ema_decay
  MemoryUse memory();
  /// Of the host's memory, for what `save` makes whole where ranks hold shares.
  std::int64_t bytes_made_whole();

  /// This rank's running statistics have seen more samples.
  void trained_on(std::int64_t samples) { samples_since_average_ += samples; }
  /// A collective. Every rank's running statistics become the average of all.
  void average_statistics();

  /// Throws InputError, and changes nothing, when `restore` cannot use the checkpoint: a tensor is missing or not
  /// finite.
  void check(const SavedCheckpoint& checkpoint);
  /// Takes what `check` accepts.
  void restore(const SavedCheckpoint& checkpoint);
  /// What `save` adds, but for what is gathered from the ranks and the numbers beside it.
  Checkpoint tensors();
  /// A collective. Adds what `restore` takes. The tensors are those of training: they change with the next step. Where
  /// ranks hold shares of the optimizer's, it is made whole in the host's memory of those ranks that write it.
  void save(Checkpoint& checkpoint, bool writes);

 private:
  struct Average {
    WeightAverage weights;
    NamedTensors tensors;  ///< views of it, by parameter, as checkpoints name them
    Program program;
    Program inference;
  };

  static std::optional<Average> make_average(double decay, FlatParameters& parameters, const Program& program,
                                             const Program& inference);
  template <typename Whole>
  NamedTensors optimizer_state(const Whole& whole);
  NamedTensors gathered_state(bool writes);
  bool has_statistics_of_ranks(const SavedCheckpoint& checkpoint) const;
  void check_statistics(const SavedCheckpoint& checkpoint) const;
  void restore_statistics(const SavedCheckpoint& checkpoint);

  Program program_;
  Program inference_;
  RankContext context_;
  FlatParameters parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<SharedUpdate> shared_;
  std::optional<Average> average_;
  std::int64_t samples_since_average_ = 0;  ///< on this rank
};

}  // namespace lockstep
