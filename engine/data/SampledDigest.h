// What tells large files apart without reading them whole.
#pragma once

#include "common/Digest.h"
#include "engine/files/RandomAccessFile.h"

namespace lockstep {

/// Adds a file's size and 64 blocks of 4 KiB, spread evenly over it with its first and last bytes among them; of a file
/// of at most 1 MiB all bytes. Files that differ elsewhere only have the same digest. Throws InputError for a file that
/// cannot be read.
void update_sampled(Digest& digest, const RandomAccessFile& file);

}  // namespace lockstep
