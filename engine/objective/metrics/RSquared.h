// How much of the targets' variance outputs explain.
#pragma once

#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// r2_score of scikit-learn: 1 - Σ weight · error² / Σ weight · (target - mean)², the mean over a sample's numbers. Of
/// a number whose target is always the same it is 1 without any error, else 0.
std::shared_ptr<const Metric> make_r_squared();

}  // namespace lockstep
