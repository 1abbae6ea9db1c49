// Reading JSON that others wrote.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lockstep {

/// Throws InputError: "ORIGIN is not JSON" with the place, or that it is nested too deep to be one of ours. Whoever
/// goes through a value of this depth may recurse.
nlohmann::json parse_json(const std::string& text, const std::string& origin);

/// Throws InputError, naming `origin`, for what is no list of texts.
std::vector<std::string> text_list(const nlohmann::json& value, const std::string& origin);

}  // namespace lockstep
