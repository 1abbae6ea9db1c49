// Tables as comma-separated values.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Files whose names end with .csv or .tsv, or all of a channel whose ContentType is text/csv: RFC 4180, with the
/// delimiter that the first record has most often. The first record is a header when none of its cells is a number;
/// every file then begins with the same. Without a header columns have their numbers as names, and the first, which
/// would be 0, is the target, as SageMaker's built-in algorithms have it; `text/csv;label_size=0` says that there is
/// none.
///
/// Each column is a field (TableColumns). One more, `features`, holds all columns of numbers that are neither target
/// nor weight nor named in `columns`, in their order: what a program with one input takes.
Format csv_format();

}  // namespace lockstep
