// A training whose loop belongs to somebody else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/Snapshot.h"
#include "engine/optim/LearningRateSchedule.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/Evaluator.h"
#include "engine/train/Resumable.h"
#include "engine/train/StepQueue.h"
#include "engine/train/TrainedModel.h"
#include "library/BatchFit.h"
#include "library/CallerRank.h"
#include "library/ChannelSteps.h"
#include "library/MemoryBatches.h"
#include "library/MemoryDataset.h"
#include "lockstep/Trainer.h"

namespace lockstep {

/// What v1::Trainer promises, with the engine's errors. It is made of what a job is made of (LoadedJob, TrainedModel,
/// StepQueue): a step computes here what it computes there.
class StepwiseTraining : public Resumable {
 public:
  explicit StepwiseTraining(const v1::Options& options);

  const RankContext& context() const { return context_; }
  std::int64_t steps() const { return global_step_; }
  v1::StepResult step(const v1::Batch& batch);
  std::optional<v1::StepResult> step();
  void set_learning_rate(std::optional<double> learning_rate);
  v1::Metrics evaluate(const v1::Batch& batch);
  v1::Metrics evaluate(const std::string& channel);
  std::vector<v1::Array> predict(const std::vector<v1::ArrayView>& inputs);
  void predict(const std::vector<v1::ArrayView>& inputs, const std::vector<v1::MutableArrayView>& outputs);
  std::vector<v1::TensorInfo> tensors() const;
  void read(const std::string& name, const v1::MutableArrayView& into) const;
  void write(const std::string& name, const v1::ArrayView& from);
  void save(const std::filesystem::path& directory);
  std::optional<std::int64_t> resume(const std::filesystem::path& directory);
  std::vector<std::filesystem::path> export_model(const std::filesystem::path& directory);

  void check(const SavedCheckpoint& checkpoint) override;
  void restore(const SavedCheckpoint& checkpoint) override;

 private:
  /// Tells notes to the caller.
  class Notes : public EventSink {
   public:
    explicit Notes(const v1::Options& options) : tell_(options.note) {}
    void silence() { tell_ = nullptr; }
    void note(const Note& event) override;
    void checkpoint_saved(const CheckpointSaved& event) override;

   private:
    decltype(v1::Options::note) tell_;
  };

  void load(const v1::Options& options);
  void load_alone(const v1::Options& options, const Registries& registries);
  void make_model(const v1::Options& options);
  void check_fit(const Program& rewritten);
  ProgramSamples samples_of(const v1::Batch& batch, std::optional<Shards> shards = {}) const;
  void require_fit(ProgramSamples& samples, bool alone);
  TrainingStep::Step agree(const MemoryBatches* batches, std::exception_ptr failure);
  v1::StepResult run(BatchSource& batches, TrainingStep::Step step, std::int64_t own_samples);
  /// Calls `use` with the outputs for these inputs.
  template <typename Use>
  void with_outputs(const std::vector<v1::ArrayView>& inputs, const Use& use);
  v1::Metrics measure(const ProgramSamples& samples);
  void remember(const std::vector<Batch>& batches);
  void require_end_ahead() const;
  at::Tensor tensor_named(const std::string& name) const;
  Snapshot take_snapshot();

  Hyperparameters hyperparameters_;
  Notes notes_;
  CallerRank rank_;
  RankContext context_;
  std::optional<LoadedJob> job_;
  std::unique_ptr<TrainedModel> model_;
  std::optional<LearningRateSchedule> schedule_;
  std::unique_ptr<StepQueue> steps_;
  std::optional<ChannelSteps> channel_;
  std::optional<BatchFit> fit_;
  std::optional<Evaluator> evaluator_;  ///< of the judged program; so is the next
  std::optional<Executor> predictor_;
  std::int64_t global_step_ = 0;
  std::optional<double> learning_rate_;   ///< in place of the schedule's
  std::vector<at::Tensor> probe_;         ///< inputs of some samples that were trained on, on the host
  std::vector<std::int64_t> full_sizes_;  ///< by rank: samples of the first step
};

}  // namespace lockstep
