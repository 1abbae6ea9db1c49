// A channel of IDX files: images, or rows of numbers, with a target for each.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Two arrays (IdxFile.h), found by their content. The one whose file name holds "targets" or "labels"
/// is the field `targets`; where both names do, or neither, the one with fewer dimensions. The other is the field
/// `inputs`. N × H × W arrays become samples of {1, H, W}; others keep their sizes as stored: {C, H, W} for four
/// dimensions, {D} for two. `open` throws InputError for a directory that does not hold exactly one array of inputs and
/// one of targets, of the same count ≥ 1. Large channels stay in their files (FileDataset.h).
Format idx_format();

}  // namespace lockstep
