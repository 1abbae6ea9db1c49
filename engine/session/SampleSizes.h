// The sizes of one sample of a value of a program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// The sizes behind the batch dimension. Nothing where the graph leaves one of them open, or states no batch dimension.
std::optional<std::vector<std::int64_t>> sample_sizes(const Graph& graph, const std::string& value);

}  // namespace lockstep
