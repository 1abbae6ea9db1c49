// Changes to JSON that keep it JSON.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace lockstep {

/// Makes one change at a time, at random places, the same for the same seed.
class JsonMutator {
 public:
  explicit JsonMutator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t count) { return static_cast<std::size_t>(random_() % count); }

  /// Returns what was done, for messages.
  std::string mutate(nlohmann::json& document) {
    std::vector<Place> places;
    collect(document, "", places);
    Place& place = places[below(places.size())];
    nlohmann::json& value = *place.value;
    const nlohmann::json other = *places[below(places.size())].value;  // before anything changes
    switch (below(8)) {
      case 0:
        if (value.is_object() && !value.empty()) {
          const std::string key = std::next(value.begin(), static_cast<std::ptrdiff_t>(below(value.size()))).key();
          value.erase(key);
          return place.path + ": without " + key;
        }
        if (value.is_array() && !value.empty()) {
          value.erase(below(value.size()));
          return place.path + ": without an entry";
        }
        break;
      case 1:
        if (value.is_array() && !value.empty()) {
          const nlohmann::json copy = value[below(value.size())];
          value.insert(value.begin(), copy);
          return place.path + ": with an entry twice";
        }
        break;
      case 2:
        value = other;
        return place.path + ": as another value";
      case 3:
        if (value.is_array() && value.size() > 1) {
          std::swap(value[below(value.size())], value[below(value.size())]);
          return place.path + ": two entries swapped";
        }
        break;
      case 4:
        for (int i = 0; i < 90; ++i) value = nlohmann::json::array({std::move(value)});
        return place.path + ": nested";
      default:
        break;
    }
    value = odd_value();
    return place.path + ": " + value.dump().substr(0, 60);
  }

 private:
  struct Place {
    std::string path;
    nlohmann::json* value;
  };

  static void collect(nlohmann::json& value, const std::string& path, std::vector<Place>& places) {
    places.push_back({path, &value});
    if (value.is_object()) {
      for (auto& [key, entry] : value.items()) collect(entry, std::string(path).append("/").append(key), places);
    } else if (value.is_array()) {
      for (std::size_t i = 0; i < value.size(); ++i) collect(value[i], path + "/" + std::to_string(i), places);
    }
  }

  nlohmann::json odd_value() {
    using Limits = std::numeric_limits<std::int64_t>;
    static const std::vector<nlohmann::json> values = {0,
                                                       1,
                                                       2,
                                                       3,
                                                       -1,
                                                       7,
                                                       100000,
                                                       1LL << 31,
                                                       1LL << 40,
                                                       1LL << 62,
                                                       Limits::max(),
                                                       Limits::min(),
                                                       std::numeric_limits<std::uint64_t>::max(),
                                                       1.5,
                                                       -0.0,
                                                       1e300,
                                                       nullptr,
                                                       true,
                                                       false,
                                                       "",
                                                       "x",
                                                       "NaN",
                                                       "../../etc/passwd",
                                                       std::string(5000, 'y'),
                                                       nlohmann::json::array(),
                                                       nlohmann::json::object(),
                                                       {0, 0, 0},
                                                       {{"as_int", -1}},
                                                       {{"as_name", "x"}},
                                                       {{"as_expr", {{"expr_str", "Symbol('"}}}}};
    return values[below(values.size())];
  }

  std::mt19937_64 random_;
};

}  // namespace lockstep
