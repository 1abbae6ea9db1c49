// The loss as a metric.
#pragma once

#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// Σ weight · loss / Σ weight.
std::shared_ptr<const Metric> make_mean_loss();
/// exp of that, for class labels: how many classes the program hesitates between.
std::shared_ptr<const Metric> make_perplexity();

}  // namespace lockstep
