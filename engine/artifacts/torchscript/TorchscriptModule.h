// From a program to a TorchScript module: each node as a call of its operator, matched to PyTorch's schemas as
// TorchScript's own compiler matches them.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include "engine/program/Program.h"

namespace lockstep {

/// A module in inference mode that holds the state of `program`, which is in its inference form, under its dotted
/// names, and computes what it computes: `forward` takes the inputs by the names and in the order of the program's, and
/// returns one tensor, a tuple of tensors, or, with `named_outputs` where the program has names for them, a dictionary.
/// It shares the program's tensors. What the program makes of nothing is made on the device of the first input,
/// wherever that is. Throws InputError, naming operator and source line, for what TorchScript does not have.
torch::jit::Module to_torchscript(const Program& program, bool named_outputs = true);

}  // namespace lockstep
