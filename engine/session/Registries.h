// What hyperparameters may name.
#pragma once

#include "engine/objective/LossRegistry.h"
#include "engine/objective/MetricRegistry.h"

namespace lockstep {

/// A value: whoever owns a session may add to what the engine has.
struct Registries {
  LossRegistry losses = built_in_losses();
  MetricRegistry metrics = built_in_metrics();
};

}  // namespace lockstep
