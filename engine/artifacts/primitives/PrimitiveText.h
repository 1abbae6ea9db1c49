// Graphs of primitives for people to read.
#pragma once

#include <string>

#include "engine/artifacts/primitives/PrimitiveGraph.h"

namespace lockstep {

/// "Softmax".
std::string operation_name(const primitive::Operation& operation);

/// One line a node: its outputs with types and sizes, its operation and its inputs.
///
///     %7 float32[s0, 64] = Linear(%0, %5, %6)
std::string to_text(const PrimitiveGraph& graph);

}  // namespace lockstep
