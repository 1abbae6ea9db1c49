// The steps that a rank has started and not yet finished.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "engine/collectives/GradientReducer.h"
#include "engine/objective/Objective.h"
#include "engine/report/Events.h"
#include "engine/train/EagerComputation.h"
#include "engine/train/RankContext.h"
#include "engine/train/StepTrace.h"
#include "engine/train/TrainedModel.h"
#include "engine/train/TrainingStep.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// What of a program that is trained runs again in backward. A captured step's generator cannot be set back: there what
/// draws does not.
RecomputationPlan recomputation_plan(const Hyperparameters& hyperparameters, const Program& program,
                                     const RankContext& context);

/// Makes steps over a TrainedModel: while the device computes one, the host enqueues the next. Start a step; finish the
/// oldest while `full`; finish all before anything else touches the model.
class StepQueue {
 public:
  /// Keeps references to the model and to what `context` refers to.
  StepQueue(const Hyperparameters& hyperparameters, const Objective& objective, TrainedModel& model,
            const RankContext& context);

  bool empty() const { return started_.empty(); }
  /// As many steps are under way as there should be when the next is started.
  bool full() const { return started_.size() > in_flight_; }
  /// `about`: what is known of the step before it is made.
  void start(BatchSource& inputs, const TrainingStep::Step& step, const StepDone& about);
  /// What was known of the oldest step.
  const StepDone& oldest() const { return started_.front(); }
  /// Waits for the oldest step, and takes it out also when this throws: NotFiniteError as TrainingStep::finish does.
  TrainingStep::Result finish();

  /// A collective after the last step of the hyperparameter trace_steps, when it returns what was traced.
  std::optional<Traced> traced(std::int64_t global_step) { return trace_.ended(global_step); }
  SpanLog& spans() { return trace_.log(); }
  /// A collective: what steps took since this was last called, by rank; nothing when there was none.
  std::vector<RankUse> take_use();

  /// As EagerComputation has it, in memory that lies idle between steps.
  std::string find_operator(const Batch& batch, const TrainingStep::Step& step, std::int64_t micro_batch);
  /// As TrainingStep has them.
  void beside(const std::function<void()>& work) { step_.beside(work); }
  void hold_update(c10::Event* event) { step_.hold_update(event); }
  void drain() { step_.drain(); }
  const std::optional<LossScale>& loss_scale() const { return step_.loss_scale(); }
  void set_loss_scale(const LossScale& loss_scale) { step_.set_loss_scale(loss_scale); }
  bool captured() const { return step_.captured(); }
  const std::string& capture_failure() const { return step_.capture_failure(); }

 private:
  RankContext context_;
  StepTrace trace_;
  EagerComputation computation_;
  GradientReducer reducer_;
  TrainingStep step_;
  std::size_t in_flight_;
  std::deque<StepDone> started_;
  RankUse use_;  ///< seconds are a sum
};

}  // namespace lockstep
