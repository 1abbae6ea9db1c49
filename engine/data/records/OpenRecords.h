// Opening the files of a channel whose records have named values.
#pragma once

#include <memory>

#include "engine/data/ChannelFiles.h"
#include "engine/data/Dataset.h"
#include "engine/data/records/RecordForm.h"

namespace lockstep {

/// Reads all headers, and of what they head a few records of the channel, which say what fields there are
/// (RecordFields). The digest is of the lengths, the fields and those records. Throws InputError, naming file, record
/// and byte.
std::unique_ptr<Dataset> open_records(const ChannelFiles& channel, std::unique_ptr<const RecordForm> form);

}  // namespace lockstep
