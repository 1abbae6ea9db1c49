// The programs, the optimizers and the schedules of the learning rate that are built in, as hyperparameters know them.
// What they compute is said in the engine, in built_in_programs(), built_in_optimizers() and built_in_schedules(),
// which list the same names.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// A hyperparameter that some of the choices read, and others do not.
struct Reading {
  std::string name;
  std::optional<std::string> own_default{};  ///< where the choice has another than the table; as it would be given
};

/// One of what a hyperparameter chooses from.
struct BuiltinChoice {
  std::string name;
  std::vector<Reading> reads{};
  bool has_end = false;  ///< of a schedule: its rates depend on the job's last step

  const Reading* reading(const std::string& hyperparameter) const;
};

using BuiltinChoices = std::vector<BuiltinChoice>;

const BuiltinChoices& builtin_programs();
const BuiltinChoices& builtin_optimizers();
const BuiltinChoices& builtin_schedules();

/// The choice of this name; InternalError when there is none.
const BuiltinChoice& builtin_choice(const BuiltinChoices& choices, const std::string& name);
std::vector<std::string> names_of(const BuiltinChoices& choices);
/// Who reads a hyperparameter, for help: "sgd, muon (0.95)", with the defaults that choices have of their own.
std::string readers_of(const BuiltinChoices& choices, const std::string& hyperparameter);

}  // namespace lockstep
