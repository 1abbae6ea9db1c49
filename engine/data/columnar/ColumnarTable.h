// Opening the files of a channel that hold tables column by column.
#pragma once

#include <memory>

#include "engine/data/ChannelFiles.h"
#include "engine/data/Dataset.h"
#include "engine/data/columnar/ColumnarFile.h"

namespace lockstep {

/// Such files are read in blocks of rows, and training wants any row at any time: all are read once, and their rows
/// kept as numbers of one size each, in ScratchBytes. Every file has the same columns; those of texts become categories
/// and are read twice. Numbers are int64 or float64, arrays have the type that is stored (TableColumns, TableFeatures).
/// The digest is of a part of the rows' bytes. Throws InputError, naming file, row and column.
std::unique_ptr<Dataset> open_columnar(const ChannelFiles& channel, ColumnarKind kind);

}  // namespace lockstep
