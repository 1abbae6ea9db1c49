#include "engine/train/BestState.h"

#include <cmath>
#include <string>
#include <utility>

#include "engine/train/CheckpointTensors.h"
#include "engine/train/EvaluationRecord.h"
#include "engine/train/NotFinite.h"

namespace lockstep {

BestState::BestState(const Hyperparameters& hyperparameters, Objective objective)
    : objective_(std::move(objective)),
      monitor_(hyperparameters.monitor),
      keeps_copy_(hyperparameters.artifact_state == ArtifactState::kBest),
      patience_(hyperparameters.patience) {}

bool BestState::improves(const Evaluation& evaluation) const {
  if (!evaluation_) return true;
  const double now = evaluation.metric(monitor_.metric);
  const double best = evaluation_->metric(monitor_.metric);
  if (std::isnan(now) || std::isnan(best)) return !std::isnan(now);  // anything is better than no number
  return monitor_.maximize ? now > best : now < best;
}

void BestState::offer(const Evaluation& evaluation, std::int64_t step, const Program& program) {
  if (!improves(evaluation)) {
    ++evaluations_since_;
    return;
  }
  evaluation_ = evaluation;
  step_ = step;
  evaluations_since_ = 0;
  if (keeps_copy_) copy_ = program.clone();
}

std::int64_t BestState::bytes(const Program& program) const {
  std::int64_t bytes = 0;
  if (!keeps_copy_) return bytes;
  for (const auto& [name, tensor] : saved_tensors(program)) bytes += static_cast<std::int64_t>(tensor.nbytes());
  return bytes;
}

void BestState::check(const SavedCheckpoint& checkpoint, const Program& program) const {
  if (!checkpoint.state.best) return;
  evaluation_of(*checkpoint.state.best, objective_);
  if (!keeps_copy_) return;
  checkpoint.best.require(saved_tensors(program), "the best state's ");
  for (const StateTensor& entry : trained_state(program)) {
    require_finite(checkpoint.best, entry.name, "the best state's ");
  }
}

void BestState::restore(const SavedCheckpoint& checkpoint, const Program& program) {
  evaluations_since_ = checkpoint.state.evaluations_since_best;
  if (!checkpoint.state.best) return;
  evaluation_ = evaluation_of(*checkpoint.state.best, objective_);
  step_ = checkpoint.state.best->step;
  if (!keeps_copy_) return;
  copy_ = program.clone();
  checkpoint.best.read_into(saved_tensors(*copy_));
}

void BestState::save(Checkpoint& checkpoint) const {
  checkpoint.state.evaluations_since_best = evaluations_since_;
  if (evaluation_) checkpoint.state.best = saved(*evaluation_, step_);
  if (copy_) checkpoint.best = saved_tensors(*copy_);
}

}  // namespace lockstep
