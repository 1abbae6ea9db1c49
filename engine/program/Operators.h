// From an operator's name in a program to PyTorch's dispatcher.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// The operator of a target such as `torch.ops.aten.add_.Tensor`, or nothing when this build does not have it.
std::optional<c10::OperatorHandle> find_operator(const std::string& target);

/// Throws InputError for arguments that an operator of PyTorch takes without looking, and reads out of bounds or never
/// ends.
using ArgumentGuard = void (*)(const std::vector<c10::IValue>& arguments);
/// That of an operator by name (`aten::matrix_power`); nullptr: it looks for itself.
ArgumentGuard argument_guard(const std::string& name);

}  // namespace lockstep
