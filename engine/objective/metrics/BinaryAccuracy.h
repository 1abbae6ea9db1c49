// How often yes and no are right.
#pragma once

#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// The share of targets of yes or no, by their weights, that the sign of the logit says (Decisions), over all labels.
std::shared_ptr<const Metric> make_binary_accuracy();

}  // namespace lockstep
