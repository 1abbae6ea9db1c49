// What samples a program can be trained on.
#pragma once

#include "engine/data/Dataset.h"
#include "engine/program/Graph.h"

namespace lockstep {

/// Samples that fit a program of one input, and its first output: sizes and types as the graph records them; with
/// `class_labels` a label for every position of an output [batch, …, classes], else a number for every element.
/// Integers as input are tokens; the smallest embedding table that reads them, or a view of them, bounds them. Throws
/// InputError when a size but the batch's is open, when nothing bounds the tokens, and for inputs that are neither
/// tokens nor float32 nor float64.
SampleShape fitting_samples(const Graph& graph, bool class_labels);

}  // namespace lockstep
