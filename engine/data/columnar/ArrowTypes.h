// What columns of Arrow's types are to Lockstep.
#pragma once

#include <arrow/api.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/data/columnar/ColumnarFile.h"

namespace lockstep {

inline constexpr std::int64_t kMostArrowValues = std::int64_t{1} << 40;  ///< of a column, or of an array

/// Also of texts that stand once each, in a dictionary.
bool is_text(const arrow::DataType& type);

/// Texts, or numbers or arrays of numbers; another type is the field's fault, with what to do.
ColumnarField field_of(const arrow::Field& column);

/// The columns that pandas wrote a frame's index to.
std::vector<std::string> index_columns(const arrow::Schema& schema);

}  // namespace lockstep
