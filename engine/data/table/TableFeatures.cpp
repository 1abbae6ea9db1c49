#include "engine/data/table/TableFeatures.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Columns.h"

namespace lockstep {

namespace {

bool is_described(const ChannelOptions& options, const std::string& input) {
  return options.columns.contains(input) || options.fields.contains(input);
}

// Those that the job's options name, and what is the target or the weight by its own name.
std::set<std::string> taken_columns(const std::vector<Field>& columns, const ChannelOptions& options) {
  std::set<std::string> taken;
  for (const auto& [input, column] : options.columns) taken.insert(column);
  for (const auto& [field, parts] : options.fields) {
    for (const FieldPart& part : parts) {
      taken.insert(part.columns.begin(), part.columns.end());
      taken.insert(part.pad.mask);
    }
  }
  if (!is_described(options, kWeightColumn)) taken.insert(kWeightColumn);
  if (!is_described(options, kTargetColumn)) {
    if (const auto target = target_field({columns})) taken.insert(columns[*target].name);
  }
  return taken;
}

}  // namespace

std::vector<ColumnUse> column_uses(const std::vector<std::string>& names, const ChannelOptions& options) {
  std::vector<Field> columns;
  for (const std::string& name : names) columns.push_back({.name = name});
  std::set<std::string> taken = taken_columns(columns, options);
  bool features = !options.inputs;
  if (options.inputs) {
    taken.insert(options.inputs->begin(), options.inputs->end());
    features = options.inputs->size() == 1 && !is_described(options, options.inputs->front()) &&
               std::ranges::find(names, options.inputs->front()) == names.end();
  }
  std::vector<ColumnUse> uses;
  for (const std::string& name : names) {
    uses.push_back(taken.contains(name) ? ColumnUse::kNamed : features ? ColumnUse::kFeature : ColumnUse::kNone);
  }
  return uses;
}

std::optional<TableFeatures> features_of(const std::vector<Field>& columns, const ChannelOptions& options) {
  const auto own = std::ranges::find(columns, kFeaturesField, &Field::name);
  if (own != columns.end()) {
    if (!own->sizes.empty() || own->fault) return std::nullopt;
    throw InputError(std::string("a column has the name ") + kFeaturesField +
                     ", which all columns of numbers have together; rename it");
  }
  const std::set<std::string> taken = taken_columns(columns, options);
  TableFeatures features{.field = {.name = kFeaturesField, .type = ElementType::kInt64}};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const Field& column = columns[i];
    const bool number = column.fault ? column.fault->numbers : column.categories.empty() && column.sizes.empty();
    if (!number || column.row_index || taken.contains(column.name)) continue;
    features.columns.push_back(i);
    features.field.origin = column.origin;
    if (is_real(column.type)) features.field.type = ElementType::kDouble;
  }
  if (features.columns.empty()) return std::nullopt;
  features.field.sizes = {static_cast<std::int64_t>(features.columns.size())};
  take_faults(columns, features);
  return features;
}

void take_faults(const std::vector<Field>& columns, TableFeatures& features) {
  for (const std::size_t column : features.columns) {
    if (!columns[column].fault || features.field.fault) continue;
    features.field.fault = columns[column].fault;
    features.field.fault->why += "; or say in fields which columns are used, without this one";
  }
}

std::string left_out(const std::vector<Field>& columns, const std::optional<TableFeatures>& features) {
  if (!features) return "";
  std::vector<std::string> names;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (std::ranges::find(features->columns, i) != features->columns.end()) continue;
    const Field& column = columns[i];
    names.push_back(column.name + (column.row_index             ? " (index)"
                                   : column.fault               ? " (" + column.fault->what + ")"
                                   : !column.categories.empty() ? " (categories)"
                                   : !column.sizes.empty()      ? " (arrays)"
                                                                : ""));
  }
  return names.empty() ? "" : "not among the features: " + join(names, ", ");
}

}  // namespace lockstep
