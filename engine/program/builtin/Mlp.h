// The linear layers that a perceptron is, and that other programs end with.
#pragma once

#include "engine/program/builtin/BuiltinProgram.h"

namespace lockstep {

/// flatten → [linear → relu → dropout] for each hidden width → linear, named fc1, fc2, …
GraphValue linear_layers(GraphBuilder& graph, GraphValue x, const BuiltinOptions& options);

}  // namespace lockstep
