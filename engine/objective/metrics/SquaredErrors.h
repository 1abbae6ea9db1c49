// How far outputs are from their targets, by the square.
#pragma once

#include <memory>
#include <string>

#include "engine/objective/Metric.h"

namespace lockstep {

/// Why a metric of numbers cannot be measured; "" when it can.
std::string unfit_for_numbers(const MeasuredBatch& batch);

/// mean_squared_error and root_mean_squared_error of scikit-learn: of a sample's several numbers, each has its own, and
/// the result is their mean. Numbers none of which counts are left out.
std::shared_ptr<const Metric> make_mse();
std::shared_ptr<const Metric> make_rmse();

}  // namespace lockstep
