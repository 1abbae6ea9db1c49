// From an operator's name in a program to PyTorch's dispatcher.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string>

#include "engine/program/Graph.h"

namespace lockstep {

/// The operator of a target such as `torch.ops.aten.add_.Tensor`, or nothing when this build does not have it.
std::optional<c10::OperatorHandle> find_operator(const std::string& target);

/// "operator torch.ops.aten.add_.Tensor (File "model.py", line 7, in forward)", for errors.
std::string describe(const Node& node);

}  // namespace lockstep
