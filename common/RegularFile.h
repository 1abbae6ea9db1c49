// Opening what is meant to be a file, whatever stands in its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "common/File.h"

namespace lockstep {

/// Opens a regular file for reading. It never waits: a FIFO, which would wait for somebody who writes into it, or a
/// device in the file's place is an error. Throws InputError, naming the path and what is there.
FileDescriptor open_regular_file(const std::filesystem::path& path);

/// Fills `bytes` with what the file holds from `offset` on. Returns how many bytes there were: fewer only where the
/// file ends. Nothing when the system cannot read; errno says why.
std::optional<std::size_t> read_bytes_at(const FileDescriptor& file, std::uint64_t offset, std::span<std::byte> bytes);

}  // namespace lockstep
