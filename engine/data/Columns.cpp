#include "engine/data/Columns.h"

#include <algorithm>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

const std::vector<std::string> kTargetNames = {"targets", "labels", "target", "label", "y"};

/// The fields by their roles.
class Choice {
 public:
  Choice(const SampleSpec& spec, const std::vector<ProgramInput>& inputs, const ColumnOptions& options)
      : spec_(spec), inputs_(inputs), names_(options.names), targets_(options.targets) {
    check_names();
    for (const ProgramInput& input : inputs) fields_.push_back(named(input.name));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!fields_[i]) fields_[i] = spec.find(inputs[i].name);
    }
    if (targets_) target_ = role(kTargetColumn, kTargetNames);
    if (targets_) weight_ = role(kWeightColumn, {kWeightColumn});
    if (inputs.size() == 1 && !fields_[0]) fields_[0] = spec.find(kFeaturesField);
    if (inputs.size() == 1 && !fields_[0]) fields_[0] = untaken(kInputsField);
    if (inputs.size() == 1 && !fields_[0]) fields_[0] = only_one_left();
  }

  std::size_t input(std::size_t i) const {
    if (fields_[i]) return *fields_[i];
    const std::string& name = inputs_[i].name;
    throw InputError("nothing feeds the program's input " + name + ": " + there_is() + "; give a column the name " +
                     name + ", or say with columns=" + name + "=COLUMN which it is");
  }
  std::size_t target() const {
    if (target_) return *target_;
    throw InputError("there are no targets: " + there_is() +
                     "; name their column targets, labels, target, label or y, or say with columns=target=COLUMN which "
                     "it is");
  }
  std::optional<std::size_t> weight() const { return weight_; }

 private:
  std::string there_is() const { return "there is " + describe(spec_); }

  bool is_input(const std::string& name) const {
    return std::ranges::find(inputs_, name, &ProgramInput::name) != inputs_.end();
  }
  void check_names() const {
    for (const auto& [name, column] : names_) {
      if (!is_input(name) && !(targets_ && (name == kTargetColumn || name == kWeightColumn))) {
        std::vector<std::string> known;
        for (const ProgramInput& input : inputs_) known.push_back(input.name);
        throw InputError((name == column ? "fields names " : "columns names ") + in_quotes(name) +
                         ", which is no input of the program; its inputs are " + join(known, ", ") +
                         (targets_ ? ", and target and weight can be named, too"
                                   : ", and with a loss of its own it takes nothing else"));
      }
      if (!spec_.find(column)) {
        throw InputError("columns says that " + name + " is " + in_quotes(column) +
                         ", which is not there: " + there_is());
      }
    }
  }
  std::optional<std::size_t> named(const std::string& name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? std::nullopt : spec_.find(found->second);
  }
  bool taken(std::size_t field) const {
    return std::ranges::find(fields_, std::optional(field)) != fields_.end() || target_ == field || weight_ == field;
  }
  // Of what is no input.
  std::optional<std::size_t> role(const char* key, const std::vector<std::string>& names) const {
    if (!is_input(key)) {
      if (const auto field = named(key)) return field;
    }
    for (const std::string& name : names) {
      if (const auto field = spec_.find(name); field && !taken(*field)) return field;
    }
    return std::nullopt;
  }
  std::optional<std::size_t> untaken(const char* name) const {
    const auto field = spec_.find(name);
    return field && !taken(*field) ? field : std::nullopt;
  }
  std::optional<std::size_t> only_one_left() const {
    std::optional<std::size_t> only;
    for (std::size_t field = 0; field < spec_.fields.size(); ++field) {
      if (taken(field) || spec_.fields[field].row_index) continue;
      if (only) return std::nullopt;
      only = field;
    }
    return only;
  }

  const SampleSpec& spec_;
  const std::vector<ProgramInput>& inputs_;
  const std::map<std::string, std::string>& names_;
  bool targets_;
  std::vector<std::optional<std::size_t>> fields_;  ///< by input
  std::optional<std::size_t> target_;
  std::optional<std::size_t> weight_;
};

// The field, of which something can be made.
const Field& taken_field(const SampleSpec& spec, std::size_t field) {
  const Field& stored = spec.fields[field];
  if (stored.fault) throw InputError(stored.fault->why);
  return stored;
}

std::vector<std::int64_t> fitted(const std::vector<std::int64_t>& stored, const ProgramInput& input) {
  const auto without_ones = [](std::vector<std::int64_t> all) {
    std::erase(all, 1);
    return all;
  };
  return input.sizes && without_ones(*input.sizes) == without_ones(stored) ? *input.sizes : stored;
}

Column input_column(const SampleSpec& spec, std::size_t field, const ProgramInput& input, bool only,
                    const ColumnOptions& options) {
  const Field& stored = taken_field(spec, field);
  ElementType type = input.type;
  if (is_real(type)) type = type == ElementType::kDouble ? type : options.real;
  if (!Transform::possible(stored.type, type)) {
    throw InputError("the program's input " + input.name + " takes " + to_string(type) + ", and its column " +
                     stored.name + " holds " + to_string(stored.type) + ": store it as integers");
  }
  const bool normalized = is_real(type) && (stored.normalization || only || stored.type == ElementType::kUint8);
  if (!is_real(type) && stored.normalization && !stored.normalization->changes_nothing()) {
    throw InputError("fields says that " + input.name + " is normalized, and the program takes " + to_string(type) +
                     ": leave normalize out");
  }
  return {.name = input.name,
          .field = field,
          .sizes = fitted(stored.sizes, input),
          .transform = Transform(stored.type, type, normalized, stored.normalization.value_or(options.normalization))};
}

Column target_column(const SampleSpec& spec, std::size_t field, const ColumnOptions& options) {
  const Field& stored = taken_field(spec, field);
  const bool labels = !is_real(stored.type) && !options.real_targets;
  const bool normalized = stored.normalization && !stored.normalization->changes_nothing();
  if (labels && normalized) throw InputError("fields says that target is normalized, and class labels are no numbers");
  return {.name = kTargetColumn,
          .field = field,
          .sizes = stored.sizes,
          .transform = Transform(stored.type, labels ? ElementType::kInt64 : options.real, normalized,
                                 stored.normalization.value_or(Normalization()))};
}

Column weight_column(const SampleSpec& spec, std::size_t field, const Field& target, const ColumnOptions& options) {
  const Field& stored = taken_field(spec, field);
  const bool of_sample = stored.numbers() == 1;
  if (!of_sample && stored.sizes != target.sizes) {
    throw InputError("a weight is one number for each sample, or one for each number of its target; the column " +
                     stored.name + " has sizes [" + join(stored.sizes, ", ") + "]");
  }
  return {.name = kWeightColumn,
          .field = field,
          .sizes = of_sample ? std::vector<std::int64_t>() : stored.sizes,
          .transform = Transform(stored.type, options.real, false)};
}

}  // namespace

ColumnRoles column_roles(const SampleSpec& spec, const std::map<std::string, std::string>& names) {
  ColumnRoles roles;
  const auto target = names.find(kTargetColumn);
  if (target != names.end()) {
    roles.target = target->second;
  } else if (const auto field = target_field(spec)) {
    roles.target = spec.fields[*field].name;
  }
  const auto weight = names.find(kWeightColumn);
  if (weight != names.end()) roles.weight = weight->second;
  if (roles.weight.empty() && spec.find(kWeightColumn)) roles.weight = kWeightColumn;
  return roles;
}

std::optional<std::size_t> target_field(const SampleSpec& spec) {
  for (const std::string& name : kTargetNames) {
    if (const auto field = spec.find(name)) return field;
  }
  return std::nullopt;
}

std::string describe(const SampleSpec& spec) {
  std::vector<std::string> parts;
  for (const Field& field : spec.fields) {
    const std::string sizes = field.sizes.empty() ? "" : " [" + join(field.sizes, ", ") + "]";
    parts.push_back(field.name + " (" + (field.fault ? field.fault->what : to_string(field.type) + sizes) + ")");
  }
  return join(parts, ", ");
}

Columns choose_columns(const SampleSpec& spec, const std::vector<ProgramInput>& inputs, const ColumnOptions& options) {
  const Choice choice(spec, inputs, options);
  Columns columns{.inputs = {}, .target = {}, .weight = {}};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    columns.inputs.push_back(input_column(spec, choice.input(i), inputs[i], inputs.size() == 1, options));
  }
  if (!options.targets) return columns;
  columns.target = target_column(spec, choice.target(), options);
  if (const auto weight = choice.weight())
    columns.weight = weight_column(spec, *weight, spec.fields[choice.target()], options);
  return columns;
}

}  // namespace lockstep
