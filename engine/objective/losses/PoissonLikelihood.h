// The loss of counts.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// torch.nn.PoissonNLLLoss (PyTorch 2.11) with its defaults, as an ElementwiseLoss: outputs are logarithms of the rate
/// r of a Poisson distribution, and a value is r - target · log r, without Stirling's term. Metrics see r.
std::shared_ptr<const Loss> make_poisson_likelihood();

}  // namespace lockstep
