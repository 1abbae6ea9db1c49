// Reading JSON that others wrote.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lockstep {

/// Throws InputError: "ORIGIN is not JSON" with the place, or that it is nested too deep to be one of ours. Whoever
/// goes through a value of this depth may recurse.
nlohmann::json parse_json(const std::string& text, const std::string& origin);

}  // namespace lockstep
