#include "engine/train/EvaluationKeeper.h"

#include <cmath>
#include <utility>

#include "common/Error.h"
#include "engine/program/EvalForm.h"
#include "engine/train/EvaluationRecord.h"
#include "engine/train/NotFinite.h"
#include "engine/train/TrainingPlan.h"

namespace lockstep {

Evaluator make_evaluator(const Hyperparameters& hyperparameters, const Objective& objective, const Program& program,
                         const RankContext& context) {
  const std::int64_t batch_size = objective.loss().of_whole_batch()
                                      ? hyperparameters.batch_size
                                      : eval_batch_size(hyperparameters, context.host.size(), program.graph());
  return Evaluator(context.device, program, objective, hyperparameters.precision, batch_size,
                   static_cast<int>(hyperparameters.loader_threads), context.communicator, context.host);
}

EvaluationKeeper::EvaluationKeeper(const Hyperparameters& hyperparameters, Objective objective, const Program& program,
                                   std::optional<NamedDataset> channel, const RankContext& context)
    : objective_(std::move(objective)),
      channel_(std::move(channel)),
      monitored_(hyperparameters.monitor.metric),
      host_(context.host),
      evaluator_(make_evaluator(hyperparameters, objective_, program.with_graph(eval_form(program.graph())), context)) {
}

std::optional<Evaluation> EvaluationKeeper::evaluate(const StopRequested& stop) {
  return evaluator_.evaluate(*channel_->samples, stop);
}

// The loss alone need not matter: what is monitored must be a number.
void EvaluationKeeper::keep(const Evaluation& evaluation, std::int64_t step, EventSink& events) {
  last_ = evaluation;
  for (const auto& [metric, note] : evaluation.weightless() ? Evaluation::Notes() : evaluation.notes()) {
    if (told_.insert(metric + note).second) events.note({.text = channel_->channel + "_" + metric + ": " + note});
  }
  const double loss = evaluation.metric("loss");
  if (std::isfinite(loss)) return;
  if (evaluation.weightless()) {
    events.note({.text = nothing_counts(channel_->channel), .warning = true});
    return;
  }
  const std::string found = find_not_finite(*channel_->samples, host_);
  const std::string what =
      "after step " + std::to_string(step) + ", " + not_finite_loss(channel_->channel, loss, found);
  if (!found.empty() && !std::isfinite(evaluation.metric(monitored_))) throw CollectiveError(kExitRankFailed, what);
  events.note({.text = what, .warning = true});
}

void EvaluationKeeper::check(const CheckpointState& state) const {
  if (state.last) evaluation_of(*state.last, objective_);
}

void EvaluationKeeper::restore(const CheckpointState& state) {
  step_ = state.evaluated_step;
  if (state.last) last_ = evaluation_of(*state.last, objective_);
}

void EvaluationKeeper::save(CheckpointState& state) const {
  state.evaluated_step = step_;
  if (last_) state.last = saved(*last_, step_);
}

}  // namespace lockstep
