#include "job/JsonNumber.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "common/Text.h"

namespace lockstep {

using nlohmann::json;

json json_number(double value) { return std::isfinite(value) ? json(value) : json(format("%g", value)); }

double number_in(const json& value) {
  return value.is_string() ? std::strtod(value.get<std::string>().c_str(), nullptr) : value.get<double>();
}

}  // namespace lockstep
