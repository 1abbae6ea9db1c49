// The evaluations of a job while it trains.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "engine/checkpoint/CheckpointState.h"
#include "engine/objective/Objective.h"
#include "engine/program/Program.h"
#include "engine/report/EventSink.h"
#include "engine/train/Evaluator.h"
#include "engine/train/NamedDataset.h"
#include "engine/train/RankContext.h"
#include "engine/train/StopToken.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The job's Evaluator of `program`, which is in its inference form and on the device.
Evaluator make_evaluator(const Hyperparameters& hyperparameters, const Objective& objective, const Program& program,
                         const RankContext& context);

/// Evaluates the model on the job's evaluation channel, if it has one, and remembers the last result. All ranks hold
/// the same.
class EvaluationKeeper {
 public:
  /// `program`: the one that is trained. Its inference form is evaluated.
  EvaluationKeeper(const Hyperparameters& hyperparameters, Objective objective, const Program& program,
                   std::optional<NamedDataset> channel, const RankContext& context);

  /// "" when there is nothing to evaluate on.
  std::string channel() const { return channel_ ? channel_->channel : ""; }
  const std::optional<Evaluation>& last() const { return last_; }
  /// After which `done` was last called; 0: never.
  std::int64_t step() const { return step_; }

  /// A collective, only with a channel: nothing when `stop` ended it early.
  std::optional<Evaluation> evaluate(const StopRequested& stop);
  /// A collective. The model was evaluated after `step`, with this result where there is a channel. Throws
  /// CollectiveError when data that is not finite has spoilt what is monitored; warns of a loss that is not finite
  /// otherwise.
  void keep(const Evaluation& evaluation, std::int64_t step, EventSink& events);
  /// All that comes after `step` in the epoch is done, evaluated or not.
  void done(std::int64_t step) { step_ = step; }

  /// Throws InputError when `restore` cannot use what the state holds.
  void check(const CheckpointState& state) const;
  void restore(const CheckpointState& state);
  /// Adds what `restore` takes.
  void save(CheckpointState& state) const;

 private:
  Objective objective_;
  std::optional<NamedDataset> channel_;
  std::string monitored_;
  Communicator& host_;
  Evaluator evaluator_;
  std::optional<Evaluation> last_;
  std::int64_t step_ = 0;
  std::set<std::string> told_;  ///< notes of metrics: each once
};

}  // namespace lockstep
