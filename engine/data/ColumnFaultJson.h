// A column's fault as JSON, as indexes keep it and ranks tell it to each other.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/data/Field.h"

namespace lockstep {

inline nlohmann::json fault_to_json(const ColumnFault& fault) { return {fault.why, fault.what, fault.numbers}; }

/// Throws nlohmann::json::exception for what fault_to_json does not give.
inline ColumnFault fault_from_json(const nlohmann::json& fault) {
  return {.why = fault.at(0), .what = fault.at(1), .numbers = fault.at(2)};
}

}  // namespace lockstep
