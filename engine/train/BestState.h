// The best state that training has come by.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/checkpoint/Checkpoint.h"
#include "engine/objective/Evaluation.h"
#include "engine/objective/Objective.h"
#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Remembers the best evaluation by the job's `monitor`, and with artifact_state=best a copy of the state that it is
/// of. All ranks are offered the same evaluations and keep the same.
class BestState {
 public:
  BestState(const Hyperparameters& hyperparameters, Objective objective);

  /// `evaluation` is of the state that `program` holds after `step`. Keeps it when it is better than all before.
  void offer(const Evaluation& evaluation, std::int64_t step, const Program& program);

  /// The best state itself; nothing before the first evaluation, and with artifact_state=last.
  const std::optional<Program>& copy() const { return copy_; }
  /// That the copy of such a program takes from the first evaluation on; 0 where none is kept.
  std::int64_t bytes(const Program& program) const;
  const std::optional<Evaluation>& evaluation() const { return evaluation_; }
  std::int64_t step() const { return step_; }  ///< after which the state was taken
  std::int64_t evaluations_since() const { return evaluations_since_; }
  /// There were as many evaluations without improvement as the hyperparameter `patience` allows.
  bool out_of_patience() const { return patience_ > 0 && evaluations_since_ >= patience_; }

  /// Throws InputError when the checkpoint lacks what `restore` takes, or holds numbers that are not finite.
  void check(const SavedCheckpoint& checkpoint, const Program& program) const;
  /// Takes what `check` accepts; `program` says what the copy looks like.
  void restore(const SavedCheckpoint& checkpoint, const Program& program);
  /// Adds what `restore` takes. The tensors are those of the copy.
  void save(Checkpoint& checkpoint) const;

 private:
  bool improves(const Evaluation& evaluation) const;

  Objective objective_;
  Monitor monitor_;
  bool keeps_copy_;
  std::int64_t patience_;
  std::optional<Program> copy_;
  std::optional<Evaluation> evaluation_;
  std::int64_t step_ = 0;
  std::int64_t evaluations_since_ = 0;
};

}  // namespace lockstep
