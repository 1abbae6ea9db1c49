// Evaluations on their way into checkpoints and back.
#pragma once

#include <cstdint>

#include "engine/checkpoint/CheckpointState.h"
#include "engine/objective/Evaluation.h"
#include "engine/objective/Objective.h"

namespace lockstep {

/// `step`: after which the state was evaluated.
SavedEvaluation saved(const Evaluation& evaluation, std::int64_t step);

/// Those of the objective's metrics that were saved, in its order. Throws InputError when the loss or the monitored
/// metric is missing.
Evaluation evaluation_of(const SavedEvaluation& saved, const Objective& objective);

}  // namespace lockstep
