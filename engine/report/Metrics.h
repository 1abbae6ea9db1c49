// Named numbers and named texts, in the order in which they are shown.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lockstep {

using Metrics = std::vector<std::pair<std::string, double>>;
using Rows = std::vector<std::pair<std::string, std::string>>;

}  // namespace lockstep
