// Evaluations on their way into checkpoints and back.
#pragma once

#include <cstdint>

#include "engine/checkpoint/CheckpointState.h"
#include "engine/train/Evaluator.h"

namespace lockstep {

/// `step`: after which the state was evaluated.
SavedEvaluation saved(const Evaluation& evaluation, std::int64_t step);

/// Throws InputError when the loss is missing.
Evaluation evaluation_of(const SavedEvaluation& saved);

}  // namespace lockstep
