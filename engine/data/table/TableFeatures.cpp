#include "engine/data/table/TableFeatures.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Columns.h"

namespace lockstep {

std::optional<TableFeatures> features_of(const std::vector<Field>& columns, const ChannelOptions& options) {
  const auto own = std::ranges::find(columns, kFeaturesField, &Field::name);
  if (own != columns.end()) {
    if (!own->sizes.empty()) return std::nullopt;
    throw InputError(std::string("a column has the name ") + kFeaturesField +
                     ", which all columns of numbers have together; rename it");
  }
  std::set<std::string> taken;
  for (const auto& [input, column] : options.columns) taken.insert(column);
  for (const auto& [field, parts] : options.fields) {
    for (const FieldPart& part : parts) {
      taken.insert(part.columns.begin(), part.columns.end());
      taken.insert(part.pad.mask);
    }
  }
  const auto named = [&](const char* role) { return options.columns.contains(role) || options.fields.contains(role); };
  if (!named(kWeightColumn)) taken.insert(kWeightColumn);
  if (!named(kTargetColumn)) {
    if (const auto target = target_field({columns})) taken.insert(columns[*target].name);
  }
  TableFeatures features{.field = {.name = kFeaturesField, .type = ElementType::kInt64}};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (!columns[i].categories.empty() || !columns[i].sizes.empty() || taken.contains(columns[i].name)) continue;
    features.columns.push_back(i);
    features.field.origin = columns[i].origin;
    if (is_real(columns[i].type)) features.field.type = ElementType::kDouble;
  }
  if (features.columns.empty()) return std::nullopt;
  features.field.sizes = {static_cast<std::int64_t>(features.columns.size())};
  return features;
}

std::string left_out(const std::vector<Field>& columns, const std::optional<TableFeatures>& features) {
  if (!features) return "";
  std::vector<std::string> names;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (std::ranges::find(features->columns, i) != features->columns.end()) continue;
    names.push_back(columns[i].name + (!columns[i].categories.empty() ? " (categories)"
                                       : !columns[i].sizes.empty()    ? " (arrays)"
                                                                      : ""));
  }
  return names.empty() ? "" : "not among the features: " + join(names, ", ");
}

}  // namespace lockstep
