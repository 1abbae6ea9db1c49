// Tables as Parquet files.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Files that begin as Parquet's do (parquet.apache.org/docs/file-format), or whose names end with .parquet. A column
/// is a field (ColumnarTable). `features` is as CSV has it, unless a column has that name and arrays. Directories such
/// as `day=1`, by which a data set is partitioned, give no column.
Format parquet_format();

}  // namespace lockstep
