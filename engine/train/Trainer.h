// A job on one rank, once everything is loaded: epochs of steps, evaluations, and which state is kept.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/data/Dataset.h"
#include "engine/device/Device.h"
#include "engine/optim/LearningRateSchedule.h"
#include "engine/program/Program.h"
#include "engine/report/Reporter.h"
#include "engine/train/Evaluator.h"
#include "engine/train/TrainingStep.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// A data set under the name of its channel.
struct NamedDataset {
  std::string channel;
  const Dataset* dataset = nullptr;
};

/// What a finished job is judged by.
struct TrainingResult {
  Program program;  ///< the job's own in its inference form, with the state that `artifact_state` names; on the host
  std::int64_t epochs = 0;  ///< of training until the job ended
  std::int64_t steps = 0;
  std::int64_t state_step = 0;           ///< the step after which that state was taken
  std::string evaluated_channel;         ///< "" when there was nothing to evaluate on
  std::optional<Evaluation> evaluation;  ///< of that state
  double training_seconds = 0;           ///< steps only, without evaluations
  double samples_per_second = 0;         ///< over all ranks
  double data_wait_share = 0;            ///< of training_seconds, on the rank that waited longest
  std::optional<LossScale> loss_scale;   ///< fp16
  bool captured = false;                 ///< steps were replayed from a CUDA graph
};

/// Bytes that a rank holds from start to end, by purpose.
struct MemoryUse {
  std::int64_t parameters = 0;
  std::int64_t gradients = 0;
  std::int64_t optimizer = 0;
};

/// What a rank computes on and how it reaches the others.
struct RankContext {
  Device& device;
  Communicator& communicator;  ///< for the memory of the device
  Communicator& host;          ///< the same ranks, for the host's memory; on a CPU the same object
};

/// Trains a program. All ranks make one with the same arguments and call `run` once.
class Trainer {
 public:
  /// `evaluation`: the channel that is evaluated every `eval_every` epochs, if there is one.
  /// `rewritten`: what `rewritten` makes of `program`, on the device; `buckets`: its plan.
  Trainer(const Hyperparameters& hyperparameters, const Program& program, Program rewritten, BucketPlan buckets,
          NamedDataset train, std::optional<NamedDataset> evaluation, RankContext context);

  /// A collective. `reporter`: on rank 0, else nullptr. Throws alike on all ranks when training diverges.
  TrainingResult run(Reporter* reporter);

  MemoryUse memory();

  static BatchPlan batch_plan(const Hyperparameters& hyperparameters, const Dataset& train, int ranks);
  /// Samples that a rank evaluates at once.
  static std::int64_t eval_batch_size(const Hyperparameters& hyperparameters, int ranks);
  static std::int64_t total_steps(const Hyperparameters& hyperparameters, const BatchPlan& plan);
  /// The program as a rank runs it: the same numbers by what the hyperparameter `passes` says.
  static Program rewritten(const Program& program, const Hyperparameters& hyperparameters);

 private:
  double train_epoch(Prefetcher& inputs, std::int64_t epoch);
  bool evaluate(std::int64_t epoch, double train_loss, double samples_per_second);
  void report_capture_failure();
  bool improves(const Evaluation& evaluation) const;

  Hyperparameters hyperparameters_;
  Program program_;            ///< what is trained: rewritten
  Program inference_program_;  ///< the same tensors under the graph of the job's program
  NamedDataset train_;
  std::optional<NamedDataset> evaluation_;
  RankContext context_;
  Reporter* reporter_ = nullptr;
  BatchPlan plan_;
  std::int64_t total_steps_;
  Executor executor_;
  FlatParameters parameters_;
  GradientReducer reducer_;
  std::unique_ptr<Optimizer> optimizer_;
  LearningRateSchedule schedule_;
  TrainingStep step_;
  Evaluator evaluator_;

  std::int64_t global_step_ = 0;
  std::int64_t samples_since_average_ = 0;  ///< on this rank
  bool capture_failure_reported_ = false;
  double training_seconds_ = 0;
  std::int64_t trained_samples_ = 0;  ///< over all ranks
  std::optional<Program> best_;       ///< a copy of the best state, kept for artifact_state=best
  std::optional<Evaluation> best_evaluation_;
  std::int64_t best_step_ = 0;
  std::int64_t evaluations_since_best_ = 0;
  std::optional<Evaluation> last_evaluation_;
};

}  // namespace lockstep
