// A channel of .npy files: arrays by name.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Every file `x.npy`, or `x.npy.gz`, is the field `x` (NpyFile.h). Large channels stay in their files (FileDataset.h).
Format npy_format();

}  // namespace lockstep
