// A channel of .safetensors files: arrays by name.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Every tensor of every file is a field (SafetensorsFile.h). Large channels stay in their files (FileDataset.h).
Format safetensors_format();

}  // namespace lockstep
