// Between the squared and the absolute error.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// torch.nn.HuberLoss (PyTorch 2.11) as an ElementwiseLoss: e²/2 for an error e of at most `delta`, which is above 0,
/// and delta · (|e| - delta/2) beyond.
std::shared_ptr<const Loss> make_huber(double delta);

}  // namespace lockstep
