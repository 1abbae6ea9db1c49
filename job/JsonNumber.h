// Numbers in JSON, which has no NaN and no infinity.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace lockstep {

/// A number; one that is not finite is the text "nan", "inf" or "-inf".
nlohmann::json json_number(double value);
/// What json_number wrote, to the bit. Throws nlohmann::json::exception for what is no number and no text.
double number_in(const nlohmann::json& value);

}  // namespace lockstep
