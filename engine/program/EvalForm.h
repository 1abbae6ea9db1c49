// The form of a graph that inference runs: what training does at random or on the side is taken out.
#pragma once

#include "engine/program/Graph.h"

namespace lockstep {

/// Turns the training flags of normalization, dropout, attention and recurrent operators off, removes the counting of
/// batches, and makes stochastic depth the identity. Everything else stays as it is.
///
/// Throws InputError, naming operator and source line, for an operator that is still random (a sampler's noise is part
/// of what it computes) and for one that still changes a buffer: neither has an inference form of its own.
Graph eval_form(Graph graph);

/// The first node that is already as inference has it (dropout that does not drop, batch norm that does not learn): the
/// program was exported from model.eval(), which is rarely meant. nullptr when there is none.
const Node* find_inference_node(const Graph& graph);

}  // namespace lockstep
