// The records of RecordIO files (common/RecordIoHeader.h).
#pragma once

#include <string_view>

#include "common/RecordIoHeader.h"
#include "engine/data/records/HeaderWindow.h"

namespace lockstep {

/// The bytes in the file of the record that begins at `offset`, with its headers; the file may end before. Throws
/// InputError for what is no record.
std::uint64_t recordio_length(HeaderWindow& headers, std::uint64_t offset);

/// The data of a record that is given with its headers. Parts are joined in memory of the calling thread's, which is
/// good until the next call. Throws InputError for what is no record.
std::string_view recordio_data(std::string_view record);

}  // namespace lockstep
