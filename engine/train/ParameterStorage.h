// From a program and a job to parameters in flat storage and an optimizer over it.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/artifacts/Safetensors.h"
#include "engine/collectives/BucketPlan.h"
#include "engine/collectives/FlatParameters.h"
#include "engine/optim/Optimizers.h"
#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The trained parameters in the order in which backward meets them, with their groups. With shard_optimizer there are
/// as many shares as `ranks`. InputError when there is no such parameter, or when a parameter group matches none.
BucketPlan make_bucket_plan(const Hyperparameters& hyperparameters, const Program& program, int ranks);

/// The program's trained parameters, in the order of that plan.
std::vector<at::Tensor> trained_tensors(const Program& program);

/// The job's optimizer, one of `kinds`; `parameters` must outlive it.
std::unique_ptr<Optimizer> make_optimizer(const Hyperparameters& hyperparameters, FlatParameters& parameters,
                                          const std::vector<OptimizerKind>& kinds = built_in_optimizers());

/// Views of a flat storage of the parameters' layout, each in the parameter's own sizes and order of memory.
std::vector<at::Tensor> views_of(const at::Tensor& flat, const FlatParameters& parameters);

/// Those views, by the storage's name and the parameter's: `momentum/fc.weight`. They mean the same in any bucket plan.
NamedTensors state_tensors(const std::string& name, const at::Tensor& flat, const FlatParameters& parameters);

}  // namespace lockstep
