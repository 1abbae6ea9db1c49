// Opening what is meant to be a file, whatever stands in its place.
#pragma once

#include <filesystem>

#include "common/File.h"

namespace lockstep {

/// Opens a regular file for reading. It never waits: a FIFO, which would wait for somebody who writes into it, or a
/// device in the file's place is an error. Throws InputError, naming the path and what is there.
FileDescriptor open_regular_file(const std::filesystem::path& path);

}  // namespace lockstep
