// The steps of the channel that a program trains on.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/data/Loader.h"
#include "engine/train/Prefetcher.h"
#include "engine/train/RankContext.h"
#include "engine/train/TrainingPlan.h"
#include "engine/train/TrainingStep.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Says for each step of a job which samples it has, as Trainer does, and reads them ahead.
class ChannelSteps {
 public:
  /// The samples and what `context` refers to must outlive this.
  ChannelSteps(const Hyperparameters& hyperparameters, const ProgramSamples& samples, const RankContext& context);

  const TrainingPlan& plan() const { return plan_; }
  const LoaderPosition& position() const { return position_; }  ///< of the next step
  /// Throws InputError for a position that is not after `step` steps.
  void check(const LoaderPosition& position, std::int64_t step) const;
  /// Takes what `check` accepts.
  void restore(const LoaderPosition& position);

  /// What is known of the next step, all but its number and its learning rate.
  TrainingStep::Step next_step() const;
  /// The micro-batches of the next step come next.
  BatchSource& batches();
  std::int64_t own_samples() const;  ///< that this rank has in the next step
  /// The step was made.
  void done();

 private:
  Hyperparameters hyperparameters_;
  RankContext context_;
  TrainingPlan plan_;
  ProgramSamples samples_;
  LoaderPosition position_;
  std::optional<Loader> loader_;
  std::optional<Prefetcher> prefetcher_;
};

}  // namespace lockstep
