// What made a number infinite or NaN while a job trained.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/collectives/Communicator.h"
#include "engine/data/Loader.h"
#include "engine/train/NamedDataset.h"
#include "engine/train/NotFinite.h"
#include "engine/train/TrainedModel.h"
#include "engine/train/TrainingPlan.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Looks for the cause where it may be: in the data of a step, in the state before it, in its gradient. Holds nothing
/// but references; to be made where it is needed. The device must have done all that was enqueued.
class Diagnosis {
 public:
  Diagnosis(const Hyperparameters& hyperparameters, const NamedDataset& train, const TrainingPlan& plan,
            TrainedModel& model, Communicator& host)
      : hyperparameters_(hyperparameters), train_(train), plan_(plan), model_(model), host_(host) {}

  /// What the data of the step at `position` has that is not finite, on whichever rank; "" when it has nothing. A
  /// collective.
  std::string find_bad_sample(const LoaderPosition& position) const;
  /// "; the cause, and what to do about it", of an error that the step at `position` has raised. `find_operator` runs
  /// the step again, and says which operator has made what is not finite, or "". A collective.
  std::string cause_of(const NotFiniteError& error, const LoaderPosition& position,
                       const std::function<std::string()>& find_operator) const;
  /// Gradients are looked at in each step; this looks at what has come of them before it can be saved or become the
  /// best state. Throws alike on all ranks. `step`: after which the model's state is. A collective.
  void require_finite_state(std::int64_t step) const;

 private:
  std::string advice(const NotFiniteError& error) const;
  std::string bad_statistic() const;

  const Hyperparameters& hyperparameters_;
  const NamedDataset& train_;
  const TrainingPlan& plan_;
  TrainedModel& model_;
  Communicator& host_;
};

/// What Diagnosis::require_finite_state does, for whoever has no data of a job. A collective.
void require_finite_state(TrainedModel& model, Communicator& host, std::int64_t step);

}  // namespace lockstep
