// Forward and backward as a step of training has them, to find out what they do.
#pragma once

#include "engine/objective/Objective.h"
#include "engine/program/Executor.h"
#include "engine/program/Program.h"
#include "engine/train/Batch.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Computes the loss of a batch and its gradients, which are dropped. `executor`: of `program`, or of another form of
/// it. Throws as `forward` and Objective::loss_of do, and c10::Error where backward fails.
void try_step(const Program& program, Executor& executor, const Objective& objective, const Batch& batch,
              Precision precision);

}  // namespace lockstep
