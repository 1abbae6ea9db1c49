// Parameters that a job does not train.
#pragma once

#include <string>
#include <vector>

#include "engine/program/Program.h"

namespace lockstep {

/// Freezes the program's parameters of which a name matches one of the patterns (`*` stands for any text): they require
/// no gradient any more, as if requires_grad had been False at export. A tied parameter is frozen by any of its names.
///
/// Nothing is computed, sent or remembered for what is frozen: no gradient, and no state of an optimizer. As in
/// PyTorch, a batch norm whose parameters are frozen still normalizes by its batch and updates its running statistics.
///
/// Throws InputError for a pattern that matches no parameter, and when nothing is left to train.
void freeze_parameters(const Program& program, const std::vector<std::string>& patterns);

/// "trains 650 of 11,181,642 parameters; the rest is frozen", or "" where nothing is frozen.
std::string trained_share(const Program& program);

}  // namespace lockstep
