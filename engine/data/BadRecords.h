// Looking for records that cannot be read.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/data/BadRecord.h"
#include "engine/data/Dataset.h"
#include "engine/data/Shards.h"

namespace lockstep {

/// Reads every sample of `samples` by so many threads, and gives those that cannot be read (InputError), in ascending
/// order: all of them, or when there are more than `most` at least so many. What else reading throws it throws.
std::vector<BadRecord> find_bad_records(const Dataset& dataset, const Slice& samples, std::int64_t most, int threads);

}  // namespace lockstep
