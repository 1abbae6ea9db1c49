// Kinds of rows of the table of hyperparameters.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "job/BuiltinChoices.h"
#include "job/HyperparameterChoices.h"
#include "job/HyperparameterRow.h"

namespace lockstep {

/// More than any job has of anything.
inline constexpr std::int64_t kMany = std::int64_t{1} << 40;

template <typename T>
using Member = T Hyperparameters::*;

/// What a number may be.
struct Range {
  double least = 0;
  double below = std::numeric_limits<double>::infinity();
  bool least_excluded = false;

  bool contains(double value) const {
    return std::isfinite(value) && (least_excluded ? value > least : value >= least) && value < below;
  }
  std::string text() const { return "number" + bounds(); }
  std::string texts() const { return "numbers" + bounds(); }

 private:
  std::string bounds() const {
    if (least == std::numeric_limits<double>::lowest()) return "";
    return std::string(least_excluded ? " > " : " ≥ ") + format("%g", least) +
           (std::isfinite(below) ? format(" and < %g", below) : "");
  }
};
inline constexpr Range kPositive{.least = 0, .least_excluded = true};
inline constexpr Range kNotNegative{.least = 0};
inline constexpr Range kShare{.least = 0, .below = 1};

/// With `least` the lowest of all: any integer.
HyperparameterRow integer(std::string name, Member<std::int64_t> member, std::int64_t least, std::int64_t most,
                          std::string help);
HyperparameterRow real(std::string name, Member<double> member, Range range, std::string help);
HyperparameterRow boolean(std::string name, Member<bool> member, std::string help);
HyperparameterRow integers(std::string name, Member<std::vector<std::int64_t>> member, std::string help);
HyperparameterRow texts(std::string name, Member<std::vector<std::string>> member, std::string help);
HyperparameterRow reals(std::string name, Member<std::vector<double>> member, Range range, std::string help);
/// Of something that is registered with the engine: here it need only look like a name. `what`: of what, in words, as
/// in "name of a loss".
HyperparameterRow name_row(std::string name, Member<std::string> member, const std::string& what, std::string help);
HyperparameterRow path_row(std::string name, Member<std::string> member, std::string help);
/// One of the choices that are built in.
HyperparameterRow builtin_row(std::string name, Member<std::string> member, const BuiltinChoices& choices,
                              std::string help);
/// `row`, of a hyperparameter that some of the choices read: beside others it does nothing. `help` begins with those
/// that do. `by`: the hyperparameter that chooses.
HyperparameterRow read_by(const std::string& by, Member<std::string> chosen, const BuiltinChoices& choices,
                          HyperparameterRow row);
/// Whether it looks like the name of something that is registered with the engine.
bool is_name(const std::string& text);

/// One of an enumeration's values.
template <typename T>
// NOLINTNEXTLINE(performance-unnecessary-value-param): clang-tidy 14 does not see the moves in a template
HyperparameterRow choice(std::string name, Member<T> member, std::string help) {
  return {
      .name = std::move(name),
      .type = join(choice_names<T>(), " | "),
      .help = std::move(help),
      .set = [=](Hyperparameters& hyperparameters,
                 const RawValue& raw) { hyperparameters.*member = choose<T>(raw.text()); },
      .get = [=](const Hyperparameters& hyperparameters) -> nlohmann::json { return name_of(hyperparameters.*member); },
      .idle = {}};
}

/// A list of choices, each at most once; `none` is the empty list.
template <typename T>
HyperparameterRow list_row(const std::string& name, const std::string& help, std::vector<T> Hyperparameters::*field) {
  return {.name = name,
          .type = "list of " + join(choice_names<T>(), ", ") + "; or none",
          .help = help,
          .set =
              [field](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::vector<T> chosen;
                if (raw.text() != "none") {
                  for (const RawValue& item : raw.items()) {
                    const auto value = choose<T>(item.text());
                    if (std::ranges::count(chosen, value) > 0) throw InputError("expected each of them once");
                    chosen.push_back(value);
                  }
                }
                hyperparameters.*field = std::move(chosen);
              },
          .get = [field](const Hyperparameters& hyperparameters) -> nlohmann::json {
            std::vector<std::string> names;
            for (const T value : hyperparameters.*field) names.push_back(name_of(value));
            return names.empty() ? "none" : join(names, ",");
          },
          .idle = {}};
}

}  // namespace lockstep
