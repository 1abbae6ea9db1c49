// The form of a graph that inference runs: what training does at random or on the side is taken out.
#pragma once

#include "engine/program/Graph.h"

namespace lockstep {

/// Turns the training flags of normalization, dropout, attention and recurrent operators off, removes the counting of
/// batches, and makes stochastic depth the identity. Everything else stays as it is.
///
/// Throws InputError, naming operator and source line, for an operator that is still random: it has no inference form
/// of its own (a sampler's noise is part of what it computes).
Graph eval_form(Graph graph);

}  // namespace lockstep
