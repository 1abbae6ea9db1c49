// `lockstep plan --predict`.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// Prints how long a step would take on other numbers of hosts and ranks, by a run's metrics.jsonl or by figures in a
/// JSON file (docs/prediction.md). Starts nothing. Returns the exit code.
int predict_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
