// What compositions are made of: written once, for formats whose readers have no one operation for them.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveTerm.h"

namespace lockstep {

/// Which nodes of a graph are meant.
using PrimitiveChoice = std::function<bool(const PrimitiveNode& node)>;

/// The graph with what BatchNorm, LayerNorm, Gelu, Linear, the unary functions log1p and expm1 and, where its length is
/// known, Recurrent are made of in the place of those that are chosen. Other nodes stay.
PrimitiveGraph decompose(const PrimitiveGraph& graph, const PrimitiveChoice& chosen);

/// What one of these operations is made of; nothing for others.
std::optional<std::vector<Term>> decomposed(const primitive::Operation& operation, const std::vector<Term>& inputs);

/// Mean 0 and variance 1 over dimensions: (x - mean) ÷ √(variance + ε).
Term standardized(const Term& x, const Ints& dims, double epsilon);

/// A number for each channel, to be broadcast against x [batch, channels, ...].
Term by_channel(const Term& numbers, const Term& x);

}  // namespace lockstep
