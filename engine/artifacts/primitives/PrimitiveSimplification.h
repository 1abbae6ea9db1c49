// Graphs of primitives with less to compute.
#pragma once

#include "engine/artifacts/primitives/PrimitiveGraph.h"
#include "engine/program/Program.h"

namespace lockstep {

/// The same outputs of fewer nodes: what follows from constants is a constant where that is not much larger; nothing
/// is broadcast that its reader broadcasts; nothing is multiplied by 1 or added to 0; a reshape or a transpose that
/// follows another is one.
PrimitiveGraph simplified(const PrimitiveGraph& graph);

/// A program, which is in its inference form, as primitives, simplified. Throws what lower_to_primitives throws.
PrimitiveGraph primitives_of(const Program& program);

/// The tensors of the graph's state, in its order.
std::vector<at::Tensor> primitive_state(const PrimitiveGraph& graph, const Program& program);

}  // namespace lockstep
