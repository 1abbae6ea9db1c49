// The loss of regression.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// torch.nn.MSELoss (PyTorch 2.11) as an ElementwiseLoss: the squared errors of outputs.
std::shared_ptr<const Loss> make_mean_squared_error();

}  // namespace lockstep
