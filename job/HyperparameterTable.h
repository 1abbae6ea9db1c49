// The table that declares the hyperparameters.
#pragma once

#include <vector>

#include "job/HyperparameterRow.h"

namespace lockstep {

/// A row for each hyperparameter, in the order of the struct.
const std::vector<HyperparameterRow>& hyperparameter_table();

/// Throws InputError for values that do not go together: what no single row can see.
void check_together(const Hyperparameters& hyperparameters);

}  // namespace lockstep
