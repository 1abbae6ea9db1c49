#include "job/Json.h"

#include "common/Error.h"

namespace lockstep {

using nlohmann::json;

namespace {

constexpr int kMaxDepth = 100;

}  // namespace

json parse_json(const std::string& text, const std::string& origin) {
  const auto check_depth = [&](int depth, json::parse_event_t, const json&) {
    if (depth <= kMaxDepth) return true;
    throw InputError(origin + " is nested more than " + std::to_string(kMaxDepth) + " deep");
  };
  try {
    return json::parse(text, check_depth);
  } catch (const json::exception& error) {
    throw InputError(origin + " is not JSON: " + error.what());
  }
}

std::vector<std::string> text_list(const json& value, const std::string& origin) {
  try {
    return value.get<std::vector<std::string>>();
  } catch (const json::exception&) {
    throw InputError(origin + " must be a list of texts, not " + value.dump());
  }
}

}  // namespace lockstep
