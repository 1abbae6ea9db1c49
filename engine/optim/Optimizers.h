// The optimizers that the hyperparameter `optimizer` may name.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/optim/Optimizer.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// A row.
struct OptimizerKind {
  std::string name;
  std::function<std::unique_ptr<Optimizer>(const Hyperparameters&, const FlatStorage&,
                                           const std::vector<kernels::Segment>&)>
      make;
  /// The update of an element depends on that element alone: a part of a parameter may be updated without the rest.
  bool by_element = false;
};

/// Those that builtin_optimizers() of job/BuiltinChoices.h lists, in its order. One whose update of an element depends
/// on that element alone is a formula of kernels/flat_update and a row here.
const std::vector<OptimizerKind>& built_in_optimizers();

/// The one of `kinds` that the hyperparameters name, with its state zero. InputError when it needs whole parameters and
/// the storage owns less.
std::unique_ptr<Optimizer> make_optimizer(const Hyperparameters& hyperparameters, const FlatStorage& storage,
                                          const std::vector<kernels::Segment>& segments,
                                          const std::vector<OptimizerKind>& kinds = built_in_optimizers());

}  // namespace lockstep
