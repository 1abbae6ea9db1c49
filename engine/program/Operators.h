// From an operator's name in a program to PyTorch's dispatcher.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string>

#include "engine/program/Graph.h"

namespace lockstep {

/// The operator of a target such as `torch.ops.aten.add_.Tensor`, or nothing when this build does not have it.
std::optional<c10::OperatorHandle> find_operator(const std::string& target);

}  // namespace lockstep
