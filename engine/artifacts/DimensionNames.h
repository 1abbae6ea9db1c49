// What artifacts call the sizes that are only known at run time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// By symbol, for the symbols that are sizes of these inputs: the first dimension of the first input is `batch`,
/// another has the symbol's own name, `s33`.
std::map<std::string, std::string> dimension_names(const std::vector<std::vector<Dimension>>& inputs);

/// Sizes without what the exporter's expressions say of their symbols: "Mul(Symbol('s7', positive=True, integer=True),
/// …)" becomes "Mul(s7, …)".
std::vector<Dimension> plain_sizes(std::vector<Dimension> sizes);

}  // namespace lockstep
