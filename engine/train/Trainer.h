// A job on one rank, once everything is loaded: epochs of steps, evaluations, and which state is kept.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/checkpoint/Checkpoint.h"
#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/collectives/Communicator.h"
#include "engine/data/Dataset.h"
#include "engine/device/Device.h"
#include "engine/optim/LearningRateSchedule.h"
#include "engine/program/Program.h"
#include "engine/report/Reporter.h"
#include "engine/train/Evaluator.h"
#include "engine/train/NotFinite.h"
#include "engine/train/StopSignal.h"
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
  bool stopped = false;                  ///< on request, before its end
  bool saved = false;                    ///< a checkpoint holds where it ended
};

/// What a job has besides its data.
struct TrainingSurroundings {
  Reporter* reporter = nullptr;                      ///< on rank 0
  const CheckpointDirectory* checkpoints = nullptr;  ///< on all ranks, or nothing is saved
  StopRequested stop_requested;
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

/// Trains a program. All ranks make one with the same arguments, call `restore` to go on from a checkpoint, and `run`
/// once. Checkpoints are written after steps, as `checkpoint_every` says; at the end of training; and when a rank was
/// asked to stop. That request travels with the gradients: all ranks stop after the same step, on a GPU a few steps
/// later, those that were enqueued meanwhile.
class Trainer {
 public:
  /// `evaluation`: the channel that is evaluated every `eval_every` epochs, if there is one.
  /// `rewritten`: what `rewritten` makes of `program`, on the device; `buckets`: its plan.
  Trainer(const Hyperparameters& hyperparameters, const Program& program, Program rewritten, BucketPlan buckets,
          NamedDataset train, std::optional<NamedDataset> evaluation, RankContext context);

  /// Not a collective. Throws InputError, and changes nothing, for a checkpoint of this job that does not hold what a
  /// Trainer has written: a tensor is missing or not finite, or its step is not where it says.
  void check(const Checkpoint& checkpoint);
  /// Not a collective. Takes what `check` accepts. Throws InputError when the job has an earlier end.
  void restore(const Checkpoint& checkpoint);
  /// A collective. Throws alike on all ranks when something comes out that is not finite, or a checkpoint cannot be
  /// written.
  TrainingResult run(const TrainingSurroundings& surroundings);

  /// After `run`: calls `work`, whose memory may be that of the captured step, as TrainingStep::beside does.
  void beside(const std::function<void()>& work) { step_.beside(work); }

  MemoryUse memory();

  static BatchPlan batch_plan(const Hyperparameters& hyperparameters, const Dataset& train, int ranks);
  /// Samples that a rank evaluates at once.
  static std::int64_t eval_batch_size(const Hyperparameters& hyperparameters, int ranks);
  static std::int64_t total_steps(const Hyperparameters& hyperparameters, const BatchPlan& plan);
  /// The program as a rank runs it: the same numbers by what the hyperparameter `passes` says.
  static Program rewritten(const Program& program, const Hyperparameters& hyperparameters);

 private:
  using Clock = std::chrono::steady_clock;

  void train_epoch(Prefetcher& inputs);
  Order order() const;
  std::string cause_of(const NotFiniteError& error, const LoaderPosition& position);
  std::string find_bad_sample(const LoaderPosition& position);
  std::string advice(const NotFiniteError& error) const;
  void require_finite_state();
  void require_finite(const Evaluation& evaluation);
  void evaluate(double samples_per_second);
  bool out_of_patience() const;
  bool wants_checkpoint() const;
  bool has_statistics_of_ranks(const Checkpoint& checkpoint) const;
  Checkpoint make_checkpoint();
  void save_checkpoint();
  void report_capture_failure();
  bool improves(const Evaluation& evaluation) const;

  Hyperparameters hyperparameters_;
  Program program_;            ///< what is trained: rewritten
  Program inference_program_;  ///< the same tensors under the graph of the job's program
  NamedDataset train_;
  std::optional<NamedDataset> evaluation_;
  RankContext context_;
  TrainingSurroundings surroundings_;
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
  LoaderPosition position_;                 ///< of the next step; step = steps of the epoch: its evaluation comes next
  double epoch_loss_ = 0;                   ///< Σ step loss × samples of the epoch so far, without skipped steps
  std::int64_t epoch_samples_ = 0;          ///< in that sum
  std::int64_t samples_since_average_ = 0;  ///< on this rank
  bool stopped_ = false;                    ///< the same on all ranks, as the next two
  bool checkpoint_due_ = false;
  std::pair<std::int64_t, std::int64_t> saved_{-1, -1};  ///< global_step_ and evaluated_step_ of the last checkpoint
  Clock::time_point last_checkpoint_;
  std::int64_t finite_step_ = -1;        ///< after which the state was last found to be finite
  std::vector<std::string> not_pruned_;  ///< what the last checkpoint could not remove
  bool capture_failure_reported_ = false;
  double training_seconds_ = 0;
  std::int64_t trained_samples_ = 0;  ///< over all ranks
  std::optional<Program> best_;       ///< a copy of the best state, kept for artifact_state=best
  std::optional<Evaluation> best_evaluation_;
  std::int64_t best_step_ = 0;
  std::int64_t evaluations_since_best_ = 0;
  std::int64_t evaluated_step_ = 0;  ///< after which the last evaluation was
  std::optional<Evaluation> last_evaluation_;
};

}  // namespace lockstep
