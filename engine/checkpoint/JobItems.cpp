#include "engine/checkpoint/JobItems.h"

#include <nlohmann/json.hpp>

#include "job/HyperparameterTable.h"

namespace lockstep {

namespace {

// Lists of labels may be long.
std::string shown(const std::string& value) {
  constexpr std::size_t kMost = 400;
  return value.size() <= kMost ? value : value.substr(0, kMost) + "…";
}

}  // namespace

JobItems items_of(const Hyperparameters& hyperparameters) {
  JobItems items;
  for (const HyperparameterRow& row : hyperparameter_table()) {
    const nlohmann::json value = row.get(hyperparameters);
    const bool unnamed = row.unnamed && value == *row.unnamed;
    if (!unnamed && !row.may_change(hyperparameters)) items["hyperparameter " + row.name] = value.dump();
  }
  return items;
}

std::string difference(const JobItems& saved, const JobItems& now) {
  const auto value = [](const JobItems& items, const std::string& name) {
    const auto found = items.find(name);
    return found == items.end() ? std::string("missing") : found->second;
  };
  for (const JobItems* items : {&now, &saved}) {
    for (const auto& [name, ignored] : *items) {
      if (value(saved, name) != value(now, name)) {
        return name + " was " + shown(value(saved, name)) + " and is " + shown(value(now, name));
      }
    }
  }
  return "";
}

}  // namespace lockstep
