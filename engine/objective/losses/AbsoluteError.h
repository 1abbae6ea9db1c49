// The loss of regression that outliers move less.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// torch.nn.L1Loss (PyTorch 2.11) as an ElementwiseLoss: how far outputs are from their targets.
std::shared_ptr<const Loss> make_absolute_error();

}  // namespace lockstep
