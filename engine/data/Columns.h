// Which field of a data set feeds which input of a program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/Field.h"
#include "engine/data/Transform.h"

namespace lockstep {

/// What a program says of one of its inputs.
struct ProgramInput {
  std::string name{};
  ElementType type = ElementType::kFloat;
  std::optional<std::vector<std::int64_t>> sizes{};  ///< of one sample; nothing when one of them is open
};

struct ColumnOptions {
  /// Input → field, where their names differ; `target` and `weight` stand for those two. A field that is described
  /// (FieldDescriptions) is named by itself.
  std::map<std::string, std::string> names{};
  ElementType real = ElementType::kFloat;  ///< float32, or float64: what real numbers are computed in
  bool targets = true;                     ///< false: the program takes all it needs as inputs; no target and no weight
  bool real_targets = false;               ///< integers as targets are numbers to regress on, not class labels
  Normalization normalization{};
  std::optional<std::int64_t> ignored_label{};  ///< a class label that is none, whatever its value
};

/// One tensor of a batch.
struct Column {
  std::string name;                       ///< the program's input, "target" or "weight"
  std::size_t field = 0;                  ///< of the data set
  std::vector<std::int64_t> sizes{};      ///< of one sample, as the program takes it
  Transform transform;                    ///< from the field's type to the tensor's
  std::optional<Normalization> pixels{};  ///< the tensor holds bytes, which become float32 where it is computed on

  std::int64_t numbers() const { return count_of(sizes); }
  /// Of one sample.
  std::size_t bytes() const { return static_cast<std::size_t>(numbers()) * size_of(transform.to()); }
};

/// What a batch is made of. Types and sizes are decided here and nowhere else.
struct Columns {
  std::vector<Column> inputs;  ///< in the program's order
  std::optional<Column> target;
  std::optional<Column> weight;
};

/// The names of the target and of the weight in ColumnOptions::names.
inline constexpr const char* kTargetColumn = "target";
inline constexpr const char* kWeightColumn = "weight";
/// All columns of a table's numbers that have no role of their own: the field that a program's only input takes.
inline constexpr const char* kFeaturesField = "features";
/// The same of formats whose samples are one array and its labels.
inline constexpr const char* kInputsField = "inputs";

/// The rules:
///
/// - An input takes the field that `names` gives it, else the field of its own name. The only input of a program may
///   also take the field `features` or `inputs`, or the only one that is left when target and weight are taken and
///   none numbers the rows.
/// - Without ColumnOptions::targets inputs are all there is; else:
/// - The target is the field that `names` gives, else the first that is there of targets, labels, target, label and y.
/// - The weight is the field that `names` gives, else the one named weight, if there is one: one number a sample, or
///   one for each number of its target.
/// - An input of real type is float64 where `real` or the program says so, else float32. Bytes are pixels, and are
///   normalized; other numbers are normalized when they are the program's only input. A field that says itself how it
///   is normalized (Field::normalization) is so, also as a target of real numbers.
/// - An input of integers or of bool takes integers or bool, as the program's type.
/// - Targets of integers are class labels (int64) unless `real_targets` says otherwise; all others, and weights, are
///   real numbers.
/// - A sample's sizes become those of the program's input where the two differ in sizes of 1 only: pictures of 28×28
///   serve a program of 1×28×28 and one of 28×28.
///
/// Fields that nothing takes are passed over, also those with a fault. Throws InputError for one that is taken and has
/// a fault, and, listing the fields there are, when an input or the target has none, when `names` names what is not
/// there, and when an input cannot be made of its field's type.
Columns choose_columns(const SampleSpec& spec, const std::vector<ProgramInput>& inputs, const ColumnOptions& options);

/// Fields by what they are for; "" where there is none.
struct ColumnRoles {
  std::string target{};
  std::string weight{};
};

/// What choose_columns takes as the target and the weight of a program none of whose inputs is one of them.
ColumnRoles column_roles(const SampleSpec& spec, const std::map<std::string, std::string>& names);

/// The field that is the target when nothing else is said: targets, labels, target, label or y.
std::optional<std::size_t> target_field(const SampleSpec& spec);

/// "x (float32 [3]), y (int64)": the fields, for messages.
std::string describe(const SampleSpec& spec);

}  // namespace lockstep
