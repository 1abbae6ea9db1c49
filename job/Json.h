// Reading JSON that others wrote: the one way in which text from outside becomes values.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// What a text may ask of the reader's memory and stack. Whoever goes through a value that was read may recurse.
struct JsonLimits {
  std::size_t bytes = std::size_t{64} << 20;
  std::size_t values = 4'000'000;  ///< lists, objects and what they hold; a large program's graph has some 100,000
  std::size_t depth = 100;         ///< of lists and objects within each other
};

/// Throws InputError, naming `origin`: "ORIGIN is not JSON" with the place, that it exceeds a limit, or that one object
/// holds a key twice, which two readers may understand in two ways.
nlohmann::json parse_json(std::string_view text, const std::string& origin, const JsonLimits& limits = {});

/// Throws InputError for what is no integer from `least` to `most`: nlohmann's conversion would take 1.5, and 2^63.
std::int64_t read_int(const nlohmann::json& value, std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                      std::int64_t most = std::numeric_limits<std::int64_t>::max());

/// Throws InputError, naming `origin`, for what is no list of texts.
std::vector<std::string> text_list(const nlohmann::json& value, const std::string& origin);

/// The value as JSON for a message: its beginning, when it is long.
std::string excerpt(const nlohmann::json& value);

}  // namespace lockstep
