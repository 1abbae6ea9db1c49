// How large a program's values are.
#pragma once

#include <string>

#include "engine/program/Graph.h"

namespace lockstep {

/// Bytes of a value in the exporter's example; 0 where the graph does not say it.
double bytes_of(const Graph& graph, const std::string& value);

/// Samples in that example.
double samples_of(const Graph& graph);

/// Of one sample: the most bytes of values that are there at once when the graph runs without gradients. An estimate:
/// an operator's own memory is not among them.
double forward_bytes(const Graph& graph);

}  // namespace lockstep
