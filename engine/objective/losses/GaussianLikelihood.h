// The loss of regression that also learns how sure it is.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// torch.nn.GaussianNLLLoss (PyTorch 2.11) with its defaults, as an ElementwiseLoss: outputs are [batch, …, 2], the
/// mean and the variance v of a normal distribution for each target [batch, …]. A value is (log v + e²/v) / 2, where e
/// is target - mean and v at least 1e-6. Metrics see the mean. The program makes the variance positive, by exp or
/// softplus: a negative one throws InputError; on a GPU the loss is NaN then.
std::shared_ptr<const Loss> make_gaussian_likelihood();

}  // namespace lockstep
