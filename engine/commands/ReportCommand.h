// `lockstep report`.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// Makes the report of a run from its metrics.jsonl, or one page that compares several. Returns the exit code.
int report_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
