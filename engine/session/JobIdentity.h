// What a job is, in words that can be compared.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/checkpoint/JobItems.h"
#include "engine/collectives/BucketPlan.h"
#include "engine/session/LoadedJob.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// What all ranks of a job must have in common, for require_agreement.
std::vector<std::pair<std::string, std::string>> rank_identity(const Hyperparameters& hyperparameters,
                                                               const LoadedJob& job, const BucketPlan& buckets);

/// What a job that goes on from a checkpoint must have in common with the one that wrote it.
JobItems checkpoint_identity(const Hyperparameters& hyperparameters, const LoadedJob& job);

}  // namespace lockstep
