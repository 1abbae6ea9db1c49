// The loss of regression.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// torch.nn.MSELoss (PyTorch 2.11): the squared error of outputs and targets of the same number of samples and of
/// elements, and of the same sizes but for ones where a sample's target has more than one dimension. With sample
/// weights s, Σ s·e² / Σ s over all elements.
std::shared_ptr<const Loss> make_mean_squared_error();

}  // namespace lockstep
