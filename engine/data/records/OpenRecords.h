// Opening the files of a channel whose records have named values.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "common/Digest.h"
#include "engine/data/ChannelFiles.h"
#include "engine/data/Dataset.h"
#include "engine/data/RecordIndex.h"
#include "engine/data/records/RecordForm.h"

namespace lockstep {

/// RecordForm::length.
using RecordLength = std::function<std::uint64_t(HeaderWindow& headers, std::uint64_t offset)>;

/// Adds the records of a file to an index, and their lengths to a digest. Throws InputError, naming file, record and
/// byte, for one that `length` refuses or that is cut short. Where records may be bad, such a one is the file's last,
/// and is not read: nothing tells where the next begins.
void index_records(const RandomAccessFile& file, const RecordLength& length, RecordIndex& index, Digest& digest,
                   bool may_be_bad = false);

/// Reads all headers, and of what they head a few records of the channel, which say what fields there are
/// (RecordFields). The digest is of the lengths, the fields and those records. Throws InputError, naming file, record
/// and byte.
std::unique_ptr<Dataset> open_records(const ChannelFiles& channel, std::unique_ptr<const RecordForm> form);

}  // namespace lockstep
