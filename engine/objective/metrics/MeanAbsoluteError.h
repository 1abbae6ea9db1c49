// How far outputs are from their targets.
#pragma once

#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// Σ weight · |output - target| / Σ weight over all elements, for targets that are real numbers.
std::shared_ptr<const Metric> make_mean_absolute_error();

}  // namespace lockstep
