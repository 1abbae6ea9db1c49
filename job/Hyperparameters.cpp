#include "job/Hyperparameters.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "common/Text.h"
#include "job/BuiltinChoices.h"
#include "job/HyperparameterTable.h"
#include "job/Json.h"
#include "job/RawValue.h"

namespace lockstep {

using nlohmann::json;

namespace {

bool belongs_to_others(const std::string& name) {
  return name.starts_with("sagemaker_") || name.starts_with("_tuning") || name == "default_user_module_name";
}

const HyperparameterRow& row_of(const std::string& name, const std::vector<std::string>& other_names = {}) {
  const auto found = std::ranges::find(hyperparameter_table(), name, &HyperparameterRow::name);
  if (found != hyperparameter_table().end()) return *found;
  std::vector<std::string> names = other_names;
  for (const HyperparameterRow& row : hyperparameter_table()) names.push_back(row.name);
  const std::string meant = nearest(name, names);
  throw InputError("unknown hyperparameter " + in_quotes(name) +
                   (meant.empty() ? "; `lockstep train --help` lists them" : "; did you mean " + meant + "?"));
}

void set(Hyperparameters& hyperparameters, const HyperparameterRow& row, const json& value) {
  try {
    row.set(hyperparameters, RawValue(value));
  } catch (const InputError& error) {
    const std::string why = error.what();
    const std::string all = value.is_string() ? in_quotes(value.get<std::string>()) : excerpt(value);
    const bool says_it = why.find("; found ") != std::string::npos;  // of a part of the value
    throw InputError("hyperparameter " + row.name + ": " + why + (says_it ? "" : "; found " + all));
  }
}

// The defaults that the chosen program, optimizer or schedule has of its own.
void set_own_defaults(Hyperparameters& hyperparameters, const BuiltinChoice& choice,
                      const std::vector<const HyperparameterRow*>& given) {
  for (const Reading& reading : choice.reads) {
    const HyperparameterRow& row = row_of(reading.name);
    if (reading.own_default && std::ranges::find(given, &row) == given.end()) {
      set(hyperparameters, row, *reading.own_default);
    }
  }
}

}  // namespace

std::vector<HyperparameterDescription> describe_hyperparameters() {
  const Hyperparameters defaults;
  std::vector<HyperparameterDescription> descriptions;
  for (const HyperparameterRow& row : hyperparameter_table()) {
    const json value = row.get(defaults);
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    const bool numbers = value.is_array() && !value.empty() && value.front().is_number();
    if (numbers) text = text.substr(1, text.size() - 2);  // without brackets, as people write it
    descriptions.push_back({row.name, row.type, text, row.help});
  }
  return descriptions;
}

Hyperparameters parse_hyperparameters(const RawHyperparameters& raw, const std::vector<std::string>& other_names) {
  Hyperparameters hyperparameters;
  std::vector<const HyperparameterRow*> given;
  for (const auto& [name, value] : raw) {
    if (belongs_to_others(name)) continue;
    const HyperparameterRow& row = row_of(name, other_names);
    if (RawValue(value).is_null()) continue;
    set(hyperparameters, row, value);
    given.push_back(&row);
  }
  if (!hyperparameters.model.ends_with(".pt2")) {
    set_own_defaults(hyperparameters, builtin_choice(builtin_programs(), hyperparameters.model), given);
  }
  set_own_defaults(hyperparameters, builtin_choice(builtin_optimizers(), hyperparameters.optimizer), given);
  set_own_defaults(hyperparameters, builtin_choice(builtin_schedules(), hyperparameters.schedule), given);
  for (const HyperparameterRow* row : given) {
    const std::string reason = row->idle ? row->idle(hyperparameters) : "";
    if (!reason.empty()) {
      throw InputError("hyperparameter " + row->name + " does nothing in this job: " + reason + "; leave it out");
    }
  }
  check_together(hyperparameters);
  return hyperparameters;
}

json to_json(const Hyperparameters& hyperparameters) {
  json object = json::object();
  for (const HyperparameterRow& row : hyperparameter_table()) object[row.name] = row.get(hyperparameters);
  return object;
}

Hyperparameters hyperparameters_from_json(const json& object) {
  Hyperparameters hyperparameters;
  for (const auto& [name, value] : object.items()) set(hyperparameters, row_of(name), value);
  return hyperparameters;
}

}  // namespace lockstep
