// An optimizer that a program of somebody else's computes.
#pragma once

#include "engine/collectives/BucketPlan.h"
#include "engine/optim/Optimizers.h"
#include "lockstep/Options.h"

namespace lockstep {

/// The value of the hyperparameter `optimizer` where it is a function of the caller's. It is no name that can be given.
inline constexpr const char* kOwnOptimizer = "the caller's";

/// Hands parameters and gradients over bucket by bucket, on the host. Its state is the caller's. An update throws
/// CallerError for what `function` throws; parameters of the buckets before are updated then.
OptimizerKind own_optimizer(v1::OptimizerFunction function, BucketPlan buckets);

}  // namespace lockstep
