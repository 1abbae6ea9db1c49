// The losses that the hyperparameter `loss` may name.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/objective/Loss.h"
#include "engine/objective/Registry.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// A row. `make` takes what it needs of a job's hyperparameters; the loss will see outputs on `device`.
struct LossKind {
  std::string name;
  std::function<std::shared_ptr<const Loss>(const Hyperparameters&, const c10::Device& device)> make;
  /// Those hyperparameters for losses (HyperparameterRow::of_losses) that `make` reads; others are refused beside it.
  std::vector<std::string> reads{};
};

using LossRegistry = Registry<LossKind>;

/// Those of builtin_loss_names(), each with a file in engine/objective/losses.
LossRegistry built_in_losses();

}  // namespace lockstep
