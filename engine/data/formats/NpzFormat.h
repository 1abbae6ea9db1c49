// A channel of .npz files: archives of arrays by name, as numpy.savez and savez_compressed write them.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Every member `x.npy` of every file is the field `x` (NpyFile.h, ZipFile.h). `open` throws InputError for members
/// that are something else.
Format npz_format();

}  // namespace lockstep
