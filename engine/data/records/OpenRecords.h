// Opening the files of a channel whose records have named values.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "common/Digest.h"
#include "engine/data/ChannelFiles.h"
#include "engine/data/Dataset.h"
#include "engine/data/RecordIndex.h"
#include "engine/data/records/RecordForm.h"
#include "engine/files/RandomAccessFile.h"

namespace lockstep {

/// RecordForm::length.
using RecordLength = std::function<std::uint64_t(HeaderWindow& headers, std::uint64_t offset)>;

/// Adds the records of a file to an index. Throws InputError, naming file, record and byte, for one that `length`
/// refuses or that is cut short. Where records may be bad, such a one is the file's last, and is not read: nothing
/// tells where the next begins.
void index_records(const RandomAccessFile& file, const RecordLength& length, RecordIndex& index,
                   bool may_be_bad = false);

/// Adds the lengths of all records of these files; of what is not read, all of it.
void digest_lengths(const RecordIndex& index, std::span<const RandomAccessFile> files, Digest& digest);

/// Reads all headers, several files at once, unless an index is kept of them (ChannelOptions::index_dir). Reads of what
/// they head a few records of the channel, which say what fields there are (RecordFields). The digest is of the
/// lengths, the fields and those records. Throws InputError, naming file, record and byte.
std::unique_ptr<Dataset> open_records(const ChannelFiles& channel, std::unique_ptr<const RecordForm> form);

}  // namespace lockstep
