// Graphs of primitives made anew, with other nodes in the place of some.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveTerm.h"

namespace lockstep {

/// What stands in the place of a node of the old graph: its outputs, made of `inputs`, which are terms of the new
/// graph; nothing where the node stays. The node's operation has the new graph's integers.
using PrimitiveRewrite =
    std::function<std::optional<std::vector<Term>>(const PrimitiveNode& node, const std::vector<Term>& inputs)>;

/// The graph with every node rewritten, in order, and without what no output needs then. Inputs, outputs and the sizes
/// of values are as before; values have other places.
PrimitiveGraph rewritten(const PrimitiveGraph& graph, const PrimitiveRewrite& rewrite);

}  // namespace lockstep
