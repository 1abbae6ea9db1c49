// What samples a program can be trained on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/data/Field.h"
#include "engine/program/Graph.h"

namespace lockstep {

/// What becomes of what a program does not say of its inputs. kGuessed: sizes other than the batch's are those of the
/// exporter's example, and integers that nothing bounds are 0 or 1, as masks are.
enum class Unsaid { kRefused, kGuessed };

/// Samples that fit the inputs of a program, as fitting_samples has them.
SampleSpec fitting_inputs(const Graph& graph, Unsaid unsaid);

/// Samples that fit the inputs of a program, and its output `target`: a field for each input, by its name, and at last
/// the field `targets`, or none of those where `target` is ""; sizes and types as the graph records them; with
/// `class_labels` a label for every position of an output [batch, …, classes], else a number for every element.
/// Integers as input are tokens (find_safe_vocabulary), bool is 0 or 1. Throws InputError when a size but the batch's
/// is open, when nothing bounds the tokens, and for inputs of other types than int64, int32, bool, float32 and float64.
SampleSpec fitting_samples(const Graph& graph, const std::string& target, bool class_labels);

/// What all integers of an input must be below: the smallest count that an operator takes of them as a whole, in
/// whatever order (OperatorTraits::bound); for an embedding the rows of its table. Nothing when no operator says one.
std::optional<std::int64_t> find_vocabulary(const Graph& graph, const std::string& input);

/// What integers can be below wherever they stand in an input: the smallest count that an operator takes of the input
/// or of a part of it, such as one column of a table.
std::optional<std::int64_t> find_safe_vocabulary(const Graph& graph, const std::string& input);

}  // namespace lockstep
