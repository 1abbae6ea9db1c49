// What a program's graph says of its inputs.
#pragma once

#include <vector>

#include "engine/data/Columns.h"
#include "engine/program/Graph.h"

namespace lockstep {

/// In the order in which the program takes them.
std::vector<ProgramInput> program_inputs(const Graph& graph);

}  // namespace lockstep
