// Tables as JSON lines.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Files whose names end with .jsonl or .ndjson, or what lies in a channel whose ContentType is application/jsonlines
/// or application/x-ndjson: an object a line (jsonlines.org), with its keys in any order. A key is a column
/// (TableColumns), with missing values where rows lack it: true is 1, false is 0, an array of numbers, or of arrays of
/// numbers, is a field of its sizes, and nothing else may be in an object. `features` is as CSV has it, unless a key
/// has that name and arrays.
Format json_lines_format();

}  // namespace lockstep
