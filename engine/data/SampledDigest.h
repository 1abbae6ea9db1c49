// What tells large data apart without reading it whole.
#pragma once

#include <vector>

#include "common/Digest.h"
#include "engine/data/Field.h"
#include "engine/files/PlainFile.h"
#include "engine/files/RandomAccessFile.h"

namespace lockstep {

/// Adds what the samples are made of: each field's name, type, sizes and categories.
void update_layout(Digest& digest, const std::vector<Field>& fields);

/// Adds a file's size and 64 blocks of 4 KiB, spread evenly over it with its first and last bytes among them; of a file
/// of at most 1 MiB all bytes. Files that differ elsewhere only have the same digest. Throws InputError for a file that
/// cannot be read.
void update_sampled(Digest& digest, const RandomAccessFile& file);
/// The same of the bytes that the file itself has, packed or not.
void update_sampled(Digest& digest, const PlainFile& file);

}  // namespace lockstep
