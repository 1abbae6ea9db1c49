// The numbers of a table that have no role of their own, as one field.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/ChannelFiles.h"
#include "engine/data/Field.h"
#include "engine/data/table/ColumnUse.h"

namespace lockstep {

struct TableFeatures {
  std::vector<std::size_t> columns{};  ///< of the table, in its order
  Field field{};                       ///< kFeaturesField: int64 where all of them are, else float64
};

/// What the job makes of columns, by their names. Where the program's inputs are not known, all may be features.
std::vector<ColumnUse> column_uses(const std::vector<std::string>& names, const ChannelOptions& options);

/// All columns of one number each that are neither target nor weight nor named in `options.columns` or by
/// `options.fields`, and do not number the rows. A fault of one of them is theirs. Nothing when there are none, and
/// when an array is called so itself. Throws InputError when another column is.
std::optional<TableFeatures> features_of(const std::vector<Field>& columns, const ChannelOptions& options);

/// Gives the features the first fault that one of their columns has.
void take_faults(const std::vector<Field>& columns, TableFeatures& features);

/// "not among the features: kind (categories), y", for notes; "" when all columns are.
std::string left_out(const std::vector<Field>& columns, const std::optional<TableFeatures>& features);

}  // namespace lockstep
