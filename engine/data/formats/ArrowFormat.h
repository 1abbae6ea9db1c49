// Tables as Arrow IPC files.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Files and streams of Arrow's interprocess communication (arrow.apache.org/docs/format/Columnar.html), of which
/// Feather's second version is one: files that begin with its magic number, and those whose names end with .arrow,
/// .arrows, .feather or .ipc. Otherwise as Parquet (ParquetFormat.h).
Format arrow_format();

}  // namespace lockstep
