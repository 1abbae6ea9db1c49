// Named numbers, tables and texts, in the order in which they are shown.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lockstep {

using Metrics = std::vector<std::pair<std::string, double>>;
using Tables = std::vector<std::pair<std::string, std::vector<std::vector<double>>>>;  ///< rows of numbers, by name
using Rows = std::vector<std::pair<std::string, std::string>>;

}  // namespace lockstep
