// What a job makes of the columns of a table.
#pragma once

namespace lockstep {

/// As far as names tell: nothing, one of its features if the column holds numbers, or more.
enum class ColumnUse { kNone, kFeature, kNamed };

}  // namespace lockstep
