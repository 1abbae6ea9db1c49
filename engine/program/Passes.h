// Rewritings of a program that compute the same numbers faster. They apply to what a rank trains and evaluates;
// artifacts hold the user's own graph.
#pragma once

#include <string>
#include <vector>

#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The program with these passes applied, in the order in which Pass lists them. Adds a line to `changes`, beginning
/// with the pass's name, for each place that one changed.
Program apply_passes(const Program& program, const std::vector<Pass>& passes, std::vector<std::string>& changes);
/// The same, for those who do not ask what changed.
Program apply_passes(const Program& program, const std::vector<Pass>& passes);

/// Moves ReLU behind the max-pool that alone reads it: max(max(x, 0)) is max(max(x), 0), also in the last bit and in
/// the gradients (where the largest of a window is positive it is the same element, elsewhere there is no gradient),
/// and the pool leaves fewer elements. Everything else stays as it is.
Graph relu_after_max_pool(Graph graph, std::vector<std::string>& changes);

/// The program with the kernels of its 2-d convolutions stored channels last, by which PyTorch's convolutions, and what
/// follows them, choose that order for images. `view` becomes `reshape`, which copies what is no view in that order.
/// Other tensors are shared; names, sizes and values are the same.
///
/// A program that writes into memory through one name and reads it through another, where in this order the one may be
/// a copy of the other, is returned as it is.
Program with_channels_last(const Program& program, std::vector<std::string>& changes);

}  // namespace lockstep
