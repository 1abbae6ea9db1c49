// Which operators of PyTorch a program may call.
#pragma once

#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// Throws InputError, naming operator and source line, for the first node whose operator is not known to be a function
/// of tensors and numbers that returns tensors and at most writes into its own `self`. Programs come from strangers: an
/// operator that opens a file, gives a tensor other storage or trusts its arguments about memory is not theirs to call.
///
/// `allowed`: operators that run all the same, as a program writes them: `aten.pdist.default`. An operator that this
/// build does not have passes: the Executor refuses it.
void require_pure(const Graph& graph, const std::vector<std::string>& allowed);

}  // namespace lockstep
