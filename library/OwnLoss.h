// A loss that a program of somebody else's computes.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"
#include "lockstep/Options.h"

namespace lockstep {

/// The value of the hyperparameter `loss` where it is a function of the caller's. It is no name that can be given.
inline constexpr const char* kOwnLoss = "the caller's";

/// Sees all that the program returns, on the host. Its terms have the gradients that `function` says. Throws
/// CallerError for what `function` throws.
std::shared_ptr<const Loss> make_own_loss(v1::LossFunction function);

}  // namespace lockstep
