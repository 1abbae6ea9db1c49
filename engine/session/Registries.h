// What a job can be made of.
#pragma once

#include "engine/data/Formats.h"
#include "engine/objective/LossRegistry.h"
#include "engine/objective/MetricRegistry.h"

namespace lockstep {

/// A value: whoever owns a session may add to what the engine has.
struct Registries {
  Formats formats = Formats::builtin();
  LossRegistry losses = built_in_losses();
  MetricRegistry metrics = built_in_metrics();
};

}  // namespace lockstep
