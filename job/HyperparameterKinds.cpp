#include "job/HyperparameterKinds.h"

#include <optional>

namespace lockstep {

using nlohmann::json;

bool is_name(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}

HyperparameterRow integer(std::string name, Member<std::int64_t> member, std::int64_t least, std::int64_t most,
                          std::string help) {
  const bool any = least == std::numeric_limits<std::int64_t>::lowest();
  const std::string type = any ? "integer" : "integer ≥ " + std::to_string(least);
  return {.name = std::move(name),
          .type = type,
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto value = raw.integer();
                if (!value || *value < least || *value > most) {
                  throw InputError("expected an integer from " + std::to_string(least) + " to " + std::to_string(most));
                }
                hyperparameters.*member = *value;
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

HyperparameterRow real(std::string name, Member<double> member, Range range, std::string help) {
  return {.name = std::move(name),
          .type = range.text(),
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto value = raw.number();
                if (!value || !range.contains(*value)) throw InputError("expected a " + range.text());
                hyperparameters.*member = *value;
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

HyperparameterRow boolean(std::string name, Member<bool> member, std::string help) {
  return {.name = std::move(name),
          .type = "true | false",
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto value = raw.boolean();
                if (!value) throw InputError("expected true or false");
                hyperparameters.*member = *value;
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

HyperparameterRow integers(std::string name, Member<std::vector<std::int64_t>> member, std::string help) {
  return {.name = std::move(name),
          .type = "list of integers ≥ 1",
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::vector<std::int64_t> values;
                for (const RawValue& item : raw.items()) {
                  const auto value = item.integer();
                  if (!value || *value < 1 || *value > kMany) throw InputError("expected integers ≥ 1, as in 64,128");
                  values.push_back(*value);
                }
                hyperparameters.*member = std::move(values);
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

HyperparameterRow texts(std::string name, Member<std::vector<std::string>> member, std::string help) {
  return {.name = std::move(name),
          .type = "list of texts",
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::vector<std::string> values;
                for (const RawValue& item : raw.items()) values.push_back(item.text());
                hyperparameters.*member = std::move(values);
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

HyperparameterRow reals(std::string name, Member<std::vector<double>> member, Range range, std::string help) {
  return {.name = std::move(name),
          .type = "list of " + range.texts(),
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::vector<double> values;
                for (const RawValue& item : raw.items()) {
                  const auto value = item.number();
                  if (!value || !range.contains(*value)) {
                    throw InputError("expected a list of which each is a " + range.text() + ", as in 1,0.5");
                  }
                  values.push_back(*value);
                }
                hyperparameters.*member = std::move(values);
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

HyperparameterRow name_row(std::string name, Member<std::string> member, const std::string& what, std::string help) {
  return {.name = std::move(name),
          .type = what,
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                if (!is_name(raw.text())) throw InputError("expected the " + what);
                hyperparameters.*member = raw.text();
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

HyperparameterRow builtin_row(std::string name, Member<std::string> member, const BuiltinChoices& choices,
                              std::string help) {
  return {.name = std::move(name),
          .type = join(names_of(choices), " | "),
          .help = std::move(help),
          .set =
              [member, names = names_of(choices)](Hyperparameters& hyperparameters, const RawValue& raw) {
                const std::string text = raw.text();
                if (std::ranges::find(names, text) == names.end()) throw InputError(expected_one_of(names, text));
                hyperparameters.*member = text;
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

HyperparameterRow read_by(const std::string& by, Member<std::string> chosen, const BuiltinChoices& choices,
                          HyperparameterRow row) {
  row.help = readers_of(choices, row.name) + ": " + row.help;
  row.idle = [=, &choices, name = row.name, otherwise = row.idle](const Hyperparameters& h) -> std::string {
    if (builtin_choice(choices, h.*chosen).reading(name) == nullptr) return by + "=" + h.*chosen + " does not use it";
    return otherwise ? otherwise(h) : "";
  };
  return row;
}

HyperparameterRow path_row(std::string name, Member<std::string> member, std::string help) {
  return {.name = std::move(name),
          .type = "path",
          .help = std::move(help),
          .set = [=](Hyperparameters& hyperparameters, const RawValue& raw) { hyperparameters.*member = raw.text(); },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

}  // namespace lockstep
