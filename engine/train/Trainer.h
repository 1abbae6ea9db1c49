// A job on one rank, once everything is loaded: epochs of steps, evaluations, and which state is kept.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/checkpoint/Snapshot.h"
#include "engine/collectives/BucketPlan.h"
#include "engine/objective/Objective.h"
#include "engine/optim/LearningRateSchedule.h"
#include "engine/program/Program.h"
#include "engine/report/EventSink.h"
#include "engine/train/BestState.h"
#include "engine/train/CheckpointKeeper.h"
#include "engine/train/Diagnosis.h"
#include "engine/train/EvaluationKeeper.h"
#include "engine/train/NamedDataset.h"
#include "engine/train/Prefetcher.h"
#include "engine/train/RankContext.h"
#include "engine/train/Resumable.h"
#include "engine/train/StepQueue.h"
#include "engine/train/StopToken.h"
#include "engine/train/TrainedModel.h"
#include "engine/train/TrainingPlan.h"
#include "engine/train/TrainingProgress.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// What a Trainer works on. The data sets must outlive it; programs share their tensors with what was given.
struct TrainingInput {
  Objective objective;
  Program program;     ///< the job's own
  Program rewritten;   ///< the same after its passes, on the device: it is trained
  BucketPlan buckets;  ///< of `rewritten`
  NamedDataset train;
  std::optional<NamedDataset> evaluation;  ///< evaluated every `eval_every` epochs, if there is one
};

/// What a Trainer talks to. All must outlive it.
struct TrainingSurroundings {
  EventSink& events;                                 ///< told on this rank
  const CheckpointDirectory* checkpoints = nullptr;  ///< on all ranks, or nothing is saved
  StopRequested stop_requested = [] { return false; };
};

/// What a finished job is judged by.
struct TrainingResult {
  Program program;  ///< the job's own in its inference form, with the state that `artifact_state` names; on the host
  std::int64_t steps = 0;                ///< of training until the job ended
  std::int64_t state_step = 0;           ///< the step after which that state was taken
  std::int64_t state_epoch = 0;          ///< the epoch of that step
  std::string evaluated_channel;         ///< "" when there was nothing to evaluate on
  std::optional<Evaluation> evaluation;  ///< of that state
  double training_seconds = 0;           ///< steps only, without evaluations
  double samples_per_second = 0;         ///< over all ranks
  double data_wait_share = 0;            ///< of a rank's training_seconds: the rank's whose share is largest
  std::optional<LossScale> loss_scale;   ///< fp16
  std::int64_t not_finite_steps = 0;     ///< that were passed over
  bool captured = false;                 ///< steps were replayed from a CUDA graph
  bool stopped = false;                  ///< on request, before its end
  bool saved = false;                    ///< a checkpoint holds where it ended
};

/// Trains a program. All ranks make one with the same arguments, call `restore` to go on from a checkpoint, and `run`
/// once. Checkpoints are written after steps, as `checkpoint_every` says; at the end of training; and when a rank was
/// asked to stop. That request travels with the gradients: all ranks stop after the same step, on a GPU a few steps
/// later, those that were enqueued meanwhile. One that has come before training begins is agreed on then: no step is
/// made.
///
/// This class is the loop: which step comes next, and what comes after it. What training changes is a TrainedModel,
/// steps are made by a StepQueue, and three keepers remember evaluations, the best state and checkpoints.
class Trainer : public Resumable {
 public:
  /// Throws InputError when the program and the hyperparameters do not go together.
  Trainer(const Hyperparameters& hyperparameters, TrainingInput input, const RankContext& context,
          TrainingSurroundings surroundings);

  void check(const SavedCheckpoint& checkpoint) override;
  void restore(const SavedCheckpoint& checkpoint) override;
  /// A collective. Throws alike on all ranks when something comes out that is not finite.
  TrainingResult run();
  /// After `run`: throws, alike on all ranks, when the state it ended with could not be saved, though there is a place
  /// for it.
  void require_saved() const { checkpoints_.require_saved(); }

  /// After `run`: calls `work`, whose memory may be that of the captured step, as TrainingStep::beside does.
  void beside(const std::function<void()>& work) { steps_.beside(work); }

  const Program& program() const { return model_.program(); }  ///< what is trained
  const BucketPlan& buckets() { return model_.parameters().plan(); }
  std::int64_t total_steps() const { return plan_.total_steps; }
  MemoryUse memory();

 private:
  TrainingResult train();
  bool asked_to_stop();
  void train_epoch(Prefetcher& inputs);
  void start_step(Prefetcher& inputs);
  void finish_step();
  void tell(const Traced& traced);
  void pass_over(const std::string& why);
  std::string explained(const NotFiniteError& error, const StepDone& step);
  std::string find_operator(const StepDone& step);
  void report_capture_failure();
  ProgramSamples samples_to_train() const;
  bool epoch_goes_on() const;
  void end_epoch(double seconds, std::int64_t samples);
  void evaluate(double samples_per_second);
  bool is_over() const;
  void require_finite_state();
  void require_something_trained();
  Snapshot take_snapshot();
  void save_checkpoint(CheckpointKeeper::Training training);
  TrainingResult result(double data_wait_share);
  Diagnosis diagnosis() { return {hyperparameters_, train_, plan_, model_, context_.host}; }

  Hyperparameters hyperparameters_;
  NamedDataset train_;
  RankContext context_;
  TrainingSurroundings surroundings_;
  TrainingPlan plan_;
  TrainedModel model_;
  LearningRateSchedule schedule_;
  StepQueue steps_;
  EvaluationKeeper evaluation_;
  BestState best_;
  CheckpointKeeper checkpoints_;
  TrainingProgress progress_;
};

}  // namespace lockstep
